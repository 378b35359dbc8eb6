"""Intervals: bootstrap percentiles of hold-out metrics, and Wilson's interval of a share."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from loan_scoring.statistics.calibration import slopes_and_intercepts

CONFIDENCE = 0.95
HOLDOUT_METRICS = (
    "auc", "gini", "ks", "f1", "precision", "recall", "brier", "log_loss", "calibration_slope",
    "calibration_intercept",
)  # fmt: skip
"""The metrics that have an interval, in the order of a report."""
BLOCK = 32
"""Resamples held in memory at once: 32 x 40,000 weights are 10 MB."""


@dataclass(frozen=True)
class Estimate:
    """A value and the limits of its interval at the level CONFIDENCE; None without an interval."""

    value: float
    lower: float | None = None
    upper: float | None = None


def bootstrap(
    y: np.ndarray, probability: np.ndarray, threshold: float, resamples: int, seed: int
) -> dict[str, list[float]]:
    """Return [lowest, highest] of each metric: percentiles over resamples of loans (Efron 1979).

    A resample is a count for each loan. Loans are sorted by probability once: AUC and KS of every
    resample follow from cumulative sums, the other metrics are weighted means. A resample in which
    a metric has no value, for lack of one outcome, is left out of its percentiles.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted, shape (rows,).
        threshold: from which F1, precision and recall of default are taken.
        resamples: how many.
        seed: of the resamples.
    """
    rows = len(y)
    dice = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {}
    order = np.argsort(probability, kind="stable")
    y, probability = np.asarray(y)[order].astype(bool), probability[order]
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        drawn = dice.integers(rows, size=(size, rows))
        drawn += np.arange(size)[:, None] * rows
        weights = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
        measured = _weighted(y, probability, threshold, weights.astype(float))
        for name, values in measured.items():
            found.setdefault(name, []).append(values)
    tail = 100 * (1 - CONFIDENCE) / 2
    intervals = {}
    for name, blocks in found.items():
        values = np.concatenate(blocks)
        values = values[np.isfinite(values)]
        if len(values):
            intervals[name] = np.percentile(values, [tail, 100 - tail]).tolist()
    return intervals


def _weighted(
    y: np.ndarray, probability: np.ndarray, threshold: float, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each metric for each row of `weights`, shape (resamples,).

    Args:
        y: outcomes, bool, in ascending order of probability, shape (rows,).
        probability: ascending, shape (rows,).
        weights: how often each loan counts, shape (resamples, rows).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        total, bad = weights.sum(axis=1), weights @ y
        good = total - bad
        # The last loan of each distinct probability.
        ends = np.flatnonzero(np.append(np.diff(probability) != 0, True))
        bad_until = np.cumsum(weights * y, axis=1)[:, ends]
        good_until = np.cumsum(weights * ~y, axis=1)[:, ends]
        # Each default outranks the paid loans below it, and half of those with its probability.
        good_before = np.hstack([np.zeros((len(weights), 1)), good_until[:, :-1]])
        bad_here = np.diff(bad_until, axis=1, prepend=0)
        auc = np.einsum("ij,ij->i", bad_here, good_before + good_until) / (2 * bad * good)
        ks = np.abs(good_until / good[:, None] - bad_until / bad[:, None]).max(axis=1)
        declined = probability >= threshold
        hits, taken = weights @ (declined & y), weights @ declined
        surely = np.clip(probability, np.finfo(float).eps, 1 - np.finfo(float).eps)
        loss = -np.where(y, np.log(surely), np.log1p(-surely))
        slope, intercept = slopes_and_intercepts(y, probability, weights)
        return {
            "auc": auc,
            "gini": 2 * auc - 1,
            "ks": ks,
            "brier": weights @ (probability - y) ** 2 / total,
            "log_loss": weights @ loss / total,
            "f1": 2 * hits / (taken + bad),
            "precision": hits / taken,
            "recall": hits / bad,
            "calibration_slope": slope,
            "calibration_intercept": intercept,
        }


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson score interval of a share, (0, 1) without any case.

    Wilson (1927), Journal of the American Statistical Association 22, 209-212; equal to
    scipy.stats.binomtest(...).proportion_ci(method="wilson"), which takes a thousand times longer
    because it also computes an exact p-value.

    >>> [round(limit, 4) for limit in wilson(50, 100)]
    [0.4038, 0.5962]
    """
    if n == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + confidence / 2))
    share, spread = successes / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
