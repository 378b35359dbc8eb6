"""Estimate how a share varies between nights: by weekday, and from one night to the next.

All functions work on several shares at once, for example on the shares of all bins of a column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy import stats

HALF_WEEK = 3
"""Days before and after a night that make up, with the night itself, the week around the night."""
CLIP = 3.0
"""Limit of a difference between two nights, in standard deviations. A larger one counts as this."""
OF_MEDIAN = np.pi / 2
"""Variance of a median, divided by the variance of a mean of as many normal values."""


@dataclass(frozen=True)
class WeekdayLevels:
    """The usual value of each cell on each weekday, and the test of whether weekdays differ."""

    levels: dict[int, np.ndarray]
    """Usual value of each cell, by weekday (0 is Monday), shape (cells,)."""
    variances: dict[int, np.ndarray]
    """Variance of each level, divided by that of a night, by weekday, shape (cells,)."""
    residuals: np.ndarray
    """Value of each night minus its weekday's effect, shape (nights, cells)."""


def weekday_levels(days: Sequence[date], values: np.ndarray) -> WeekdayLevels | None:
    """Return the usual values on each weekday. Return None if there is no second weekday.

    The effects of a cell are multiplied by 1 - 1 / F, or by 0 if F is below 1. F is the variance
    between weekdays, divided by what the variance between nights explains. Otherwise the effects of
    seven weekdays with two or three nights each would be mostly chance.

    The effect of a weekday is the median of the deviations of its nights from the week around each
    night, as in classical decomposition with period 7, but with the median for the mean: one bad
    night then hardly counts. A step or a steady rise is in the night and in the week around it, and
    so is not in the effect. Nights without a full week around them have no deviation. If a night of
    a week is missing, the week's mean is corrected by the effects of the nights that are there.
    Source: Hyndman, Athanasopoulos (2021), "Forecasting: principles and practice", 3.4;
    for the factor, James, Stein (1961), "Estimation with quadratic loss", positive part.

    Args:
        days: date of each night, ascending.
        values: value of each cell in each night, shape (nights, cells).
    """
    weekday, mean_of_week, is_inside = _weeks(days)
    known = [int(each) for each in np.unique(weekday[is_inside])]
    if len(known) < 2 or not np.isin(weekday, known).all():
        return None
    place = np.searchsorted(known, weekday)
    effects = np.zeros((len(known), values.shape[1]))
    for _ in range(4):  # the first pass is exact if no night is missing
        deviations = values - mean_of_week @ (values - effects[place])
        effects = np.stack(
            [np.median(deviations[is_inside & (weekday == each)], axis=0) for each in known]
        )
        effects -= effects.mean(axis=0)
    counted = np.array([(is_inside & (weekday == each)).sum() for each in known])
    nights = night_variance(values - effects[place], np.zeros_like(values), len(known) - 1).total
    between = (counted[:, None] * np.square(effects)).sum(axis=0) / (len(known) - 1)
    by_chance = np.divide(nights * OF_MEDIAN, between, out=np.ones_like(between), where=between > 0)
    factor = np.maximum(1 - by_chance, 0.0)
    effects *= factor
    residuals = values - effects[place]
    level = np.median(residuals, axis=0)
    return WeekdayLevels(
        {each: level + effects[k] for k, each in enumerate(known)},
        {each: factor * OF_MEDIAN / counted[k] for k, each in enumerate(known)},
        residuals,
    )


@dataclass(frozen=True)
class NightVariance:
    """The variance of each cell's value between nights, sampling included."""

    total: np.ndarray
    """Variance of a night's value, shape (cells,)."""
    noise: np.ndarray
    """Part of the variance that sampling explains, shape (cells,)."""
    degrees: float
    """Degrees of freedom of `total`."""


def night_variance(values: np.ndarray, noise: np.ndarray, fitted: int = 0) -> NightVariance:
    """Return the variance between nights from the differences of successive nights.

    Half the mean squared difference hardly grows with a step or a slow rise. A difference above
    CLIP standard deviations counts as CLIP. The standard deviation is that of the median
    difference, or that of sampling if this is larger.
    Sources: von Neumann and others (1941), "The mean square successive difference", also for the
    degrees of freedom; Huber (1981), "Robust statistics", 5.2, for the clip and its correction.

    Args:
        values: value of each cell in each night, in the order of the nights, shape (nights, cells).
        noise: sampling variance of each value, shape (nights, cells).
        fitted: number of parameters of each cell that were fitted to the nights, such as weekdays.
    """
    nights = len(values)
    left = (nights - fitted) / nights
    differences = np.abs(np.diff(values, axis=0))
    usual = (noise[1:] + noise[:-1]).mean(axis=0)
    scale = np.maximum(np.median(differences, axis=0) / stats.norm.ppf(0.75), usual**0.5)
    kept = stats.chi2.cdf(CLIP**2, 3) + CLIP**2 * stats.chi2.sf(CLIP**2, 1)
    squares = np.square(np.minimum(differences, CLIP * scale)).mean(axis=0) / kept
    m = nights - 1
    return NightVariance(squares / 2 / left, usual / 2, 2 * m**2 / (3 * m - 1) * left)


def weekdays_differ(
    days: Sequence[date], values: np.ndarray, scale: np.ndarray, variance: NightVariance
) -> float:
    """Return the p-value of the hypothesis that all weekdays have the same values.

    This is the F test of a one-way analysis of variance on deviations from the week around each
    night, with the variance between nights from `night_variance`.

    Args:
        days: date of each night, ascending.
        values: value of each disjoint cell in each night, shape (nights, cells).
        scale: variance of each cell relative to the other cells, shape (cells,). All above 0.
        variance: variance of `values` without the weekdays' effects.
    """
    weekday, mean_of_week, is_inside = _weeks(days)
    deviations = values - mean_of_week @ values
    groups = [deviations[is_inside & (weekday == each)] for each in np.unique(weekday[is_inside])]
    free = max(values.shape[1] - 1, 1)
    between = sum(len(group) * np.square(group.mean(axis=0)) for group in groups)
    top = float((between / scale).sum()) / (len(groups) - 1) / free
    bottom = float((variance.total / scale).sum()) / free
    if bottom == 0:
        return 1.0
    return float(stats.f.sf(top / bottom, (len(groups) - 1) * free, variance.degrees * free))


def nights_differ(scale: np.ndarray, variance: NightVariance) -> tuple[float, float]:
    """Test the hypothesis that nights differ only by sampling.

    Return the p-value, and the variance between nights divided by that of sampling.

    This is the chi-square test of overdispersion over all cells. Source: Cochran (1954), "Some
    methods for strengthening the common chi-square tests".

    Args:
        scale: variance of each cell relative to the other cells, shape (cells,). All above 0.
        variance: variance of the values of disjoint cells.
    """
    expected = float((variance.noise / scale).sum())
    if expected == 0:
        return 1.0, 1.0
    degrees = variance.degrees * max(len(scale) - 1, 1)
    ratio = float((variance.total / scale).sum()) / expected
    return float(stats.chi2.sf(ratio * degrees, degrees)), ratio


def _weeks(days: Sequence[date]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each night's weekday, the weights of the week around it, and whether it is full.

    The weights have the shape (nights, nights). The week around a night is not full if the first or
    the last night of all is less than HALF_WEEK days away.
    """
    ordinals = np.array([day.toordinal() for day in days])
    weekday = np.array([day.weekday() for day in days])
    near = np.abs(ordinals[:, None] - ordinals[None, :]) <= HALF_WEEK
    is_inside = (ordinals >= ordinals[0] + HALF_WEEK) & (ordinals <= ordinals[-1] - HALF_WEEK)
    return weekday, near / near.sum(axis=1, keepdims=True), is_inside
