"""Calculate intervals: of hold-out metrics by the bootstrap, of a share, and of means of folds."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from loan_scoring.statistics.bins import group_by_probability
from loan_scoring.statistics.calibration import slopes_and_intercepts

CONFIDENCE = 0.95
HOLDOUT_METRICS = (
    "auc", "gini", "ks", "f1", "precision", "recall", "brier", "log_loss", "calibration_slope",
    "calibration_intercept",
)  # fmt: skip
"""Hold-out metrics that have an interval, in the order in which reports show them."""
BLOCK = 32
"""Number of resamples in memory at once. Their weights take 2 MB."""


@dataclass(frozen=True)
class Estimate:
    """A value and the limits of its interval at the level CONFIDENCE.

    `lower` and `upper` are None if no interval was calculated.
    """

    value: float
    lower: float | None = None
    upper: float | None = None


def bootstrap(
    y: np.ndarray, probability: np.ndarray, threshold: float, resamples: int, seed: int
) -> dict[str, list[float]]:
    """Return the interval [lower, upper] of each hold-out metric at the level CONFIDENCE.

    The limits are percentiles over bootstrap resamples of the loans (Efron 1979). The loans of one
    outcome in one bin of probabilities are a cell. In a resample, the numbers of loans drawn from
    the cells are multinomial, so these numbers are drawn and not single loans. This is exact if
    each distinct probability is a bin (see `ProbabilityBins`). If a metric has no value in a
    resample, for example because no loan defaulted, that resample does not count for the metric. A
    metric without a value in any resample has no interval.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        threshold: probabilities equal to or above the threshold count as predicted defaults in F1,
            precision and recall.
        resamples: number of resamples.
        seed: random seed for the resamples.
    """
    bins = group_by_probability(probability, threshold)
    cells = np.bincount(2 * bins.places + (np.asarray(y) == 1), minlength=2 * len(bins.loans))
    held = np.flatnonzero(cells)
    is_default, centres, loans = held % 2 == 1, bins.centres[held // 2], cells[held]
    dice = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        weights = dice.multinomial(len(y), loans / len(y), size).astype(float)
        measured = _weighted(is_default, centres, loans, threshold, weights)
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
    y: np.ndarray,
    probability: np.ndarray,
    loans: np.ndarray,
    threshold: float,
    weights: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the value of each metric in each resample, shape (resamples,) for each metric.

    Args:
        y: outcome of each cell, True for default, in ascending order of probability, shape
            (cells,).
        probability: predicted probability of each cell in ascending order, shape (cells,).
        loans: number of loans of each cell, shape (cells,).
        threshold: probabilities equal to or above the threshold count as predicted defaults.
        weights: number of loans that each resample draws from each cell, shape (resamples, cells).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        total, bad = weights.sum(axis=1), weights @ y
        good = total - bad
        # Index of the last cell of each distinct probability.
        ends = np.flatnonzero(np.append(np.diff(probability) != 0, True))
        bad_until = np.cumsum(weights * y, axis=1)[:, ends]
        good_until = np.cumsum(weights * ~y, axis=1)[:, ends]
        # For the AUC, a default outranks all paid loans with a lower probability. Paid loans with
        # an equal probability count as half.
        good_before = np.hstack([np.zeros((len(weights), 1)), good_until[:, :-1]])
        bad_here = np.diff(bad_until, axis=1, prepend=0)
        auc = np.einsum("ij,ij->i", bad_here, good_before + good_until) / (2 * bad * good)
        ks = np.abs(good_until / good[:, None] - bad_until / bad[:, None]).max(axis=1)
        declined = probability >= threshold
        hits, taken = weights @ (declined & y), weights @ declined
        surely = np.clip(probability, np.finfo(float).eps, 1 - np.finfo(float).eps)
        loss = -np.where(y, np.log(surely), np.log1p(-surely))
        slope, intercept = slopes_and_intercepts(y, probability, weights, loans)
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


def student_interval(values: np.ndarray) -> Estimate:
    """Return the mean of folds with its interval by Student's t distribution.

    Folds share learning loans, so the interval is an approximation: no estimate of the variance of
    cross-validation is without bias (Bengio and Grandvalet 2004).

    Args:
        values: one value for each fold, at least two, shape (folds,).
    """
    mean, folds = float(np.mean(values)), len(values)
    error = float(np.std(values, ddof=1) / np.sqrt(folds))
    half = error * float(stdtrit(folds - 1, (1 + CONFIDENCE) / 2))
    return Estimate(mean, mean - half, mean + half)


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the lower and upper limit of the Wilson score interval of a share.

    Return (0, 1) if `n` is 0. Source: Wilson (1927), Journal of the American Statistical
    Association 22, 209-212. scipy.stats.binomtest(...).proportion_ci(method="wilson") returns the
    same limits, but takes a thousand times longer because it also computes an exact p-value.

    Args:
        successes: number of successes.
        n: number of cases.
        confidence: level of the interval.

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
