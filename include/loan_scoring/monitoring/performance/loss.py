"""Calculate approval rate, expected loss and realised loss of the segments of a batch."""

from collections.abc import Iterator

import numpy as np

from loan_scoring.monitoring.performance.estimated import prediction_limits
from loan_scoring.statistics.bins import MOST_BINS
from loan_scoring.statistics.calibration_curve import CalibrationCurve
from loan_scoring.statistics.fairness import Z95
from loan_scoring.statistics.intervals import Estimate, wilson
from loan_scoring.statistics.labels import Labels

ALL = "all"
"""Name of the segment that holds every scored loan. Every other segment is a persona."""


def decision_segments(personas: Labels) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each segment and a mask of its rows, shape (rows,), bool.

    The segment `all` comes first. The personas follow, sorted by name.
    """
    yield ALL, np.ones(len(personas), dtype=bool)
    for name in sorted(personas.counts()):
        yield name, personas.mask(name)


def approval_rate(approved: np.ndarray) -> Estimate:
    """Return the share of approved loans, with Wilson's 95 % interval."""
    rate = float(np.mean(approved))
    return Estimate(rate, *wilson(rate * len(approved), len(approved)))


def exposures(amount: np.ndarray, loss_given_default: float) -> np.ndarray:
    """Return the money that is lost on each loan if it defaults, shape (rows,).

    The caller leaves out loans whose amount is unknown.

    Args:
        amount: amount of each loan, shape (rows,).
        loss_given_default: share of the amount that is lost if the loan defaults.
    """
    return np.asarray(amount * loss_given_default)


def expected_loss(true: np.ndarray, exposure: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Return the expected loss of the loans, in the amount's unit, with its interval.

    The expected loss is the sum of probability x loss given default x amount. Source: Basel
    Committee (2005), "An explanatory note on the Basel II IRB risk weight functions", section 2.1:
    EL = PD x LGD x EAD. The interval comes from drawn losses. The interval does not include the
    uncertainty of loss given default.

    Args:
        true: recalibrated probability with which each loan defaults, shape (rows,).
        exposure: exposure of each loan, from `exposures`, shape (rows,).
        drawn: losses from `draw_losses`, shape (resamples,).
    """
    return Estimate(float(true @ exposure), *prediction_limits(drawn))


def draw_losses(
    centres: np.ndarray,
    places: np.ndarray,
    exposure: np.ndarray,
    curve: CalibrationCurve,
    resamples: int,
    seed: int,
) -> np.ndarray:
    """Draw random losses that loans may have, shape (resamples,).

    Each resample first draws a calibration curve, as in `estimated.draw_defaults`. With at most
    MOST_BINS loans, it then draws the outcome of each loan. With more, it draws the sum: given the
    curve, the loss is a sum of independent losses, so its first three cumulants follow from sums of
    exposures by bin, and a normal deviate is bent to have these cumulants (Cornish, Fisher 1938,
    "Moments and cumulants in the specification of distributions").

    Args:
        centres: probability of each bin, from `statistics.bins`, shape (bins,).
        places: index of each loan's bin, shape (rows,).
        exposure: exposure of each loan, from `exposures`, shape (rows,).
        curve: calibration curve of the model's hold-out.
        resamples: number of resamples.
        seed: random seed for drawing curves and outcomes.
    """
    dice = np.random.default_rng(seed)
    if len(places) <= MOST_BINS:
        curves = curve.draws(centres[places], resamples, dice)
        return np.array([(dice.random(len(places)) < true) @ exposure for true in curves])
    first, second, third = (
        np.bincount(places, exposure**power, minlength=len(centres)) for power in (1, 2, 3)
    )
    found = np.empty(resamples)
    for place, true in enumerate(curve.draws(centres, resamples, dice)):
        spread = true * (1 - true)
        variance = spread @ second
        skewness = (spread * (1 - 2 * true)) @ third / variance**1.5 if variance > 0 else 0.0
        z = dice.standard_normal()
        found[place] = true @ first + variance**0.5 * (z + skewness * (z * z - 1) / 6)
    return found


def realised_loss(y: np.ndarray, lost: np.ndarray) -> Estimate:
    """Return the money lost on the loans that defaulted, in the amount's unit, without interval.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        lost: what is lost of each loan if it defaulted, from `losses`, shape (rows,).
    """
    return Estimate(float(y @ lost))


def losses(exposure: np.ndarray, amount: np.ndarray, recovered: np.ndarray) -> np.ndarray:
    """Return what is lost of each loan if it defaulted, in the amount's unit, shape (rows,).

    If it is known how much was recovered of a loan, its loss is the rest of the amount. Otherwise
    its loss is its exposure, which assumes the contract's loss given default.

    Args:
        exposure: exposure of each loan, from `exposures`, shape (rows,).
        amount: amount of each loan, shape (rows,).
        recovered: recovered amount of each loan, nan if it is not known, shape (rows,).
    """
    return np.where(np.isnan(recovered), exposure, rest(amount, recovered))


def rest(amount: np.ndarray, recovered: np.ndarray) -> np.ndarray:
    """Return what is lost of each loan. If more than the amount was recovered, nothing is lost."""
    return np.asarray(np.maximum(amount - recovered, 0))


def realised_loss_given_default(amount: np.ndarray, recovered: np.ndarray) -> Estimate | None:
    """Return the share of the defaulted amount that was lost, with its 95 % interval.

    The share is a ratio of two sums. Its interval is that of a ratio estimator (Cochran 1977,
    "Sampling techniques", section 6.4), clipped at 0. With fewer than two loans there is no
    interval. Return None without any loan, or if the amounts sum to 0.

    Args:
        amount: amounts of the defaulted loans whose recovered amount is known, shape (loans,).
        recovered: what was recovered of these loans, shape (loans,).
    """
    total = float(amount.sum())
    if not total > 0:
        return None
    lost = rest(amount, recovered)
    share, loans = float(lost.sum() / total), len(amount)
    if loans < 2:
        return Estimate(share)
    residual = lost - share * amount
    reach = Z95 * float(np.sqrt(loans / (loans - 1) * np.sum(residual**2))) / total
    return Estimate(share, max(share - reach, 0.0), share + reach)
