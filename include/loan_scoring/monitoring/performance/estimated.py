"""Estimate the performance of a batch from its default probabilities, before outcomes arrive.

If probabilities are calibrated, each loan defaults with its own probability. The expected confusion
matrix follows from the probabilities, and the metrics follow from the matrix. The probabilities are
first recalibrated with a curve that was fitted on the hold-out. The estimate accounts for a change
of applicants. The estimate cannot show that similar applicants default more often than before,
because only outcomes show that. Source: NannyML's confidence-based performance estimation (CBPE),
version 0.8.5, "How it works: performance estimation".
"""

import numpy as np
from scipy.special import xlog1py, xlogy

from loan_scoring.statistics.auc import expected_auc
from loan_scoring.statistics.bins import ProbabilityBins
from loan_scoring.statistics.calibration_curve import CalibrationCurve
from loan_scoring.statistics.intervals import CONFIDENCE, Estimate

ESTIMATED_METRICS = (
    "default_rate",
    "auc",
    "gini",
    "ks",
    "f1",
    "precision",
    "recall",
    "brier",
    "log_loss",
)
BLOCK_VALUES = 2_000_000
"""Maximum number of drawn numbers that are held as floats at once. These floats need 16 MB."""


def draw_defaults(
    bins: ProbabilityBins, curve: CalibrationCurve, resamples: int, seed: int
) -> np.ndarray:
    """Draw random numbers of defaults that each bin may have, shape (resamples, bins).

    This is a parametric bootstrap (Efron, Tibshirani 1993, "An introduction to the bootstrap",
    section 6.5). Each resample first draws a calibration curve from the curve's uncertainty. Each
    resample then draws the number of defaults of each bin, which is binomial with the probability
    that the drawn curve gives to the bin. With one fixed curve the intervals would be too narrow,
    because the model's calibration error is common to all loans and does not average out.

    Args:
        bins: loans of the batch, grouped by predicted probability.
        curve: calibration curve of the model's hold-out.
        resamples: number of resamples.
        seed: random seed for drawing curves and outcomes.
    """
    dice = np.random.default_rng(seed)
    found = np.empty((resamples, len(bins.loans)), dtype=np.int32)
    for place, true in enumerate(curve.draws(bins.centres, resamples, dice)):
        found[place] = dice.binomial(bins.loans, true)
    return found


def estimate_metrics(
    probability: np.ndarray,
    bins: ProbabilityBins,
    curve: CalibrationCurve,
    threshold: float,
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    """Return the estimate and interval of each metric of a batch, by name of the metric.

    Metrics without a value are left out.

    The values follow from the expected confusion matrix of all loans, except for KS. KS is the
    largest gap between two curves. With observed outcomes both curves are noisy, so the largest gap
    is larger than the largest gap between the expected curves. The value of KS is therefore the
    mean over the draws. The intervals follow from draws of `draw_defaults`.

    Args:
        probability: predicted probabilities, shape (loans,).
        bins: the same loans, grouped by probability.
        curve: calibration curve of the model's hold-out.
        threshold: probability from which a loan counts as predicted default, for F1, precision
            and recall.
        resamples: number of resamples.
        seed: random seed for the draws.
    """
    per_draw = metrics_of_draws(bins, threshold, draw_defaults(bins, curve, resamples, seed))
    values = expected_metrics(probability, curve.corrected(probability), threshold)
    values["ks"] = _mean(per_draw["ks"])
    found = {
        name: Estimate(values[name], *prediction_limits(per_draw[name]))
        for name in ESTIMATED_METRICS
    }
    return {name: each for name, each in found.items() if np.isfinite(each.value)}


def expected_metrics(
    probability: np.ndarray, true: np.ndarray, threshold: float
) -> dict[str, float]:
    """Return the metrics that follow from the expected confusion matrix.

    A metric without a value is nan.

    Args:
        probability: predicted probabilities, shape (rows,).
        true: recalibrated probability with which each loan defaults, shape (rows,).
        threshold: probability from which a loan counts as predicted default, for F1, precision
            and recall.
    """
    found = _linear(probability, np.ones(len(probability)), threshold, true[None, :])
    auc = expected_auc(probability, true)
    values = {name: float(each[0]) for name, each in found.items()}
    return values | {"auc": auc, "gini": 2 * auc - 1}


def metrics_of_draws(
    bins: ProbabilityBins, threshold: float, defaults: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each metric for each resample of outcomes, shape (resamples,).

    If a metric has no value for a resample, the entry of this resample is nan.

    Every metric except KS is a sum over the outcomes or a ratio of such sums. The AUC follows from
    the sum of the ranks of the defaults (Mann, Whitney 1947). A matrix product therefore gives the
    sums of a whole block of resamples at once.

    Args:
        bins: loans, grouped by probability.
        threshold: probability from which a loan counts as predicted default.
        defaults: number of defaults of each bin in each resample, shape (resamples, bins).
    """
    until = np.cumsum(bins.loans)
    rows = int(until[-1])
    ranks = until - (bins.loans - 1) / 2  # the mean rank of the loans of each bin
    blocks: list[dict[str, np.ndarray]] = []
    size = max(1, BLOCK_VALUES // len(bins.loans))
    for start in range(0, len(defaults), size):
        y = defaults[start : start + size].astype(float)
        found = _linear(bins.centres, bins.loans, threshold, y)
        bad = y.sum(axis=1)
        good = rows - bad
        bad_until = np.cumsum(y, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["auc"] = (y @ ranks - bad * (bad + 1) / 2) / (bad * good)
            gaps = (until - bad_until) / good[:, None] - bad_until / bad[:, None]
            found["ks"] = np.abs(gaps).max(axis=1)
        found["gini"] = 2 * found["auc"] - 1
        blocks.append(found)
    return {name: np.concatenate([block[name] for block in blocks]) for name in ESTIMATED_METRICS}


def _linear(
    probability: np.ndarray, loans: np.ndarray, threshold: float, y: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the metrics that follow from sums over the outcomes, each of shape (resamples,).

    Args:
        probability: predicted probability of each loan or bin, shape (rows,).
        loans: number of loans of each bin, shape (rows,).
        threshold: probability from which a loan counts as predicted default.
        y: numbers of defaults, or probabilities of default for expected metrics, shape
            (resamples, rows).
    """
    rows = loans.sum()
    declined = (probability >= threshold).astype(float)
    surely = np.clip(probability, np.finfo(float).eps, 1 - np.finfo(float).eps)
    if_default, if_paid = -xlogy(1.0, surely), -xlog1py(1.0, -surely)
    per_default = np.column_stack([declined, 1 - 2 * probability, if_default - if_paid])
    hits, squares, losses = (y @ per_default).T
    bad, taken = y.sum(axis=1), loans @ declined
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "default_rate": bad / rows,
            "brier": (loans @ probability**2 + squares) / rows,
            "log_loss": (loans @ if_paid + losses) / rows,
            "f1": 2 * hits / (taken + bad),
            "precision": hits / taken,
            "recall": hits / bad,
        }


def prediction_limits(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the limits of an interval that contains a new draw with probability CONFIDENCE.

    Return (None, None) if fewer than two values are finite.

    The k-th smallest of N draws is above a new draw with probability k / (N + 1). The quantile q is
    therefore taken at position q (N + 1) (Weibull 1939, definition 6 of Hyndman, Fan 1996). The
    usual quantile, at position q (N - 1) + 1, would give an interval that covers only 94 % with 200
    draws.

    >>> [round(limit, 3) for limit in prediction_limits(np.arange(1.0, 200.0))]
    [5.0, 195.0]
    """
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail], method="weibull")
    return float(low), float(high)


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
