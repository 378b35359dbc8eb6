"""Fit what is usual tonight for some figures of a column, from the figures of earlier nights."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy import stats

from loan_scoring.statistics.nights import (
    night_variance,
    nights_differ,
    weekday_levels,
    weekdays_differ,
)

VARIES = 0.01
"""p-value below which weekdays differ, or nights differ by more than sampling."""
SAME_WEEKDAY = 3
"""Minimum number of nights of the same weekday."""


@dataclass(frozen=True)
class Usual:
    """What is usual tonight for some cells of a column: for its values, or for its nulls."""

    shift: np.ndarray
    """Usual value tonight minus the baseline's, shape (cells,). 0 if weekdays do not differ."""
    between: np.ndarray
    """Variance between nights without the sampling of a night, shape (cells,)."""
    of_shift: np.ndarray
    """Variance of `shift`, shape (cells,)."""
    total: np.ndarray
    """Variance of a night, sampling included, from which `between` comes, shape (cells,)."""
    degrees: float
    """Degrees of freedom of `total`."""
    has_cycle: bool
    differs: bool
    p_varies: float
    """Smaller p-value of the two tests, of weekdays and of nights."""

    @property
    def varies(self) -> bool:
        """Whether weekdays differ or nights differ by more than sampling."""
        return self.has_cycle or self.differs

    def p_values(self, difference: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return the two-sided p-value of each cell, from Student's t distribution, shape (cells,).

        The degrees of freedom are those of Welch (1947) and Satterthwaite (1946): only the variance
        between nights is estimated, sampling is known.

        Args:
            difference: value of tonight minus the usual value, shape (cells,).
            noise: sampling variance of the difference, shape (cells,).
        """
        variance = self.between + self.of_shift + noise
        if not self.differs:
            degrees = np.full(len(variance), np.inf)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                degrees = self.degrees * np.square(variance / self.total)
            degrees = np.nan_to_num(degrees, nan=np.inf, posinf=np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.nan_to_num(difference / np.sqrt(variance), nan=0.0, posinf=np.inf)
        return np.asarray(2 * stats.t.sf(np.abs(t), np.maximum(degrees, 1.0)))


def fit_usual(
    days: Sequence[date],
    weekday: int,
    values: np.ndarray,
    noise: np.ndarray,
    baseline: np.ndarray,
    disjoint: tuple[np.ndarray, np.ndarray] | None = None,
) -> Usual:
    """Fit what is usual on a weekday.

    If weekdays differ, a night is expected at the level of its weekday. A training may have had
    other weekdays than the nights, so a baseline between the levels of the weekdays is no lasting
    shift. If the baseline is beyond all levels, there is a lasting shift: then all levels are moved
    until the nearest one is the baseline, so that the shift still shows.

    Args:
        days: date of each earlier night, ascending.
        weekday: weekday of tonight, 0 is Monday.
        values: value of each cell in each night, shape (nights, cells).
        noise: sampling variance of each value, shape (nights, cells).
        baseline: value of each cell in the baseline, shape (cells,).
        disjoint: shares of disjoint cells in each night, and their sampling variances, for the
            tests of whether nights differ. If None, `values` is one cell.
    """
    cells, cell_noise = disjoint or (values, noise)
    scale = np.ones(cells.shape[1])
    if disjoint:
        scale = np.maximum(cells.mean(axis=0), 1e-12)
    plain = night_variance(cells, cell_noise)
    levels = weekday_levels(days, values)
    p_week, (p_nights, ratio) = 1.0, nights_differ(scale, plain)
    variance = night_variance(values, noise)
    has_cycle = False
    same = sum(day.weekday() == weekday for day in days)
    if levels and same >= SAME_WEEKDAY and weekday in levels.levels:
        of_cells = weekday_levels(days, cells)
        fitted = len(levels.levels) - 1
        rest = night_variance(of_cells.residuals, cell_noise, fitted)  # type: ignore[union-attr]
        p_week = weekdays_differ(days, cells, scale, rest)
        has_cycle = p_week < VARIES
        if has_cycle:
            p_nights, ratio = nights_differ(scale, rest)
            variance = night_variance(levels.residuals, noise, fitted)
    differs = p_nights < VARIES
    # Without a significant difference, all cells share one ratio, which is known far better than
    # that of a single cell. It is not taken as 1, because a small difference may be undetected.
    own = variance.total if differs else ratio * variance.noise
    between = np.maximum(own - variance.noise, 0.0)
    shift = of_shift = np.zeros(values.shape[1])
    if has_cycle and levels:
        every = np.stack(list(levels.levels.values())) - baseline
        anchor = np.minimum(-every.min(axis=0), 0.0) + np.maximum(-every.max(axis=0), 0.0)
        shift = levels.levels[weekday] - baseline + anchor
        of_shift = levels.variances[weekday] * (between + variance.noise)
    return Usual(
        shift, between, of_shift, variance.total, variance.degrees, has_cycle, differs,
        min(p_week, p_nights),
    )  # fmt: skip
