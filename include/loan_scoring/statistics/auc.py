"""The AUC: how often a default scores above a paid loan, ties as half; and how certain it is."""

import numpy as np
from scipy.stats import rankdata

REPLICATES = 2000
"""Bootstrap replicates: 50 of them lie below the 2.5 % quantile."""


def outranked(good: np.ndarray) -> np.ndarray:
    """Return how many paid loans score below each distinct score, ties counted as half.

    The mean of this over the defaults, divided by the number of paid loans, is the AUC
    (Mann-Whitney).

    Args:
        good: paid loans at each distinct score, ascending, shape (scores,).
    """
    return np.asarray(np.cumsum(good) - good / 2)


def auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted as half.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        scores: shape (rows,).

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    bad, good, distinct = _places_by_outcome(np.asarray(y) == 1, scores)
    below = outranked(np.bincount(good, minlength=distinct))
    return float(below[bad].sum() / (len(bad) * len(good)))


def auc_of_counts(bad: np.ndarray, good: np.ndarray) -> float:
    """Return the AUC from counts of defaults and paid loans at each distinct score, ascending."""
    return float(bad @ outranked(good) / (bad.sum() * good.sum()))


def auc_differences(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int, replicates: int = REPLICATES
) -> np.ndarray:
    """Return bootstrap replicates of AUC(first) - AUC(second), shape (replicates,).

    Paired: each replicate draws the same loans for both scores. Stratified: defaults and paid
    loans are drawn separately, so that each replicate has as many of both as the hold-out.
    Scores are sorted once; a draw is a weight for each loan.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        first, second: scores of two models, shape (rows,).
    """
    is_default = np.asarray(y) == 1
    defaults, paid = int(is_default.sum()), int((~is_default).sum())
    places = [_places_by_outcome(is_default, scores) for scores in (first, second)]
    random = np.random.default_rng(seed)
    found = np.empty(replicates)
    for replicate in range(replicates):
        drawn = [
            np.bincount(random.integers(0, count, count), minlength=count).astype(float)
            for count in (defaults, paid)
        ]
        won = [
            drawn[0] @ outranked(np.bincount(good, drawn[1], distinct))[bad]
            for bad, good, distinct in places
        ]
        found[replicate] = won[0] / (defaults * paid) - won[1] / (defaults * paid)
    return found


def _places_by_outcome(
    is_default: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return each score's place among the distinct scores, ascending, and how many these are.

    The places are those of defaults, shape (defaults,), and of paid loans, shape (paid,).
    """
    values, places = np.unique(scores, return_inverse=True)
    return places[is_default], places[~is_default], len(values)


def expected_auc(probability: np.ndarray, true: np.ndarray) -> float:
    """Return the AUC of expected pairs, where each loan defaults with its own probability.

    A loan makes no pair with itself: sum over i != j of t_i (1 - t_j) [s_i > s_j], ties as half,
    over the same sum without the bracket. nan where no pair is expected.

    Args:
        probability: the scores, shape (rows,).
        true: the probability with which each loan defaults, shape (rows,).
    """
    _, places = np.unique(probability, return_inverse=True)
    bad = np.bincount(places, weights=true)
    good = np.bincount(places, weights=1 - true)
    own = float(np.sum(true * (1 - true)))
    pairs = bad.sum() * good.sum() - own
    return float((bad @ outranked(good) - own / 2) / pairs) if pairs > 0 else float("nan")


def auc_against_chance(baseline: np.ndarray, batch: np.ndarray) -> tuple[float, float]:
    """Return the AUC of scores that should be higher in the batch, and its z without drift.

    Args:
        baseline, batch: scores, shapes (m,) and (n,), no nan.

    The variance is exact for labels that are assigned to the scores at random, ties included:
    Hanley, McNeil (1982), equation for AUC = 0.5, with the correction for ties of Lehmann (1975),
    "Nonparametrics", 1.2; equal to scipy.stats.mannwhitneyu(use_continuity=False).

    >>> auc_against_chance(np.array([1.0, 2.0]), np.array([2.0, 3.0]))[0]
    0.875
    """
    m, n = len(baseline), len(batch)
    total = m + n
    is_batch = np.arange(total) >= m
    high, low, distinct = _places_by_outcome(is_batch, np.concatenate([baseline, batch]))
    of_baseline = np.bincount(low, minlength=distinct)
    found = float(outranked(of_baseline)[high].sum() / (m * n))
    ties = of_baseline + np.bincount(high, minlength=distinct)
    spread = (total**3 - total - int((ties**3 - ties).sum())) / 12
    variance = spread / (m * n * total * (total - 1))
    return found, (found - 0.5) / variance**0.5 if variance > 0 else 0.0


def delong(y: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return the AUC and its standard error without an assumed distribution, ties as half.

    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44, 837-845, by the midranks of Sun, Xu
    (2014), IEEE Signal Processing Letters 21, 1389-1393: a loan's rank among all loans minus its
    rank among its own kind is the number of loans of the other kind that it outranks.

    Args:
        y: outcomes, 1 for default, at least two of each, shape (rows,).
        scores: shape (rows,).

    >>> auc, error = delong(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    >>> auc, round(error, 4)
    (0.75, 0.3536)
    """
    is_default = np.asarray(y) == 1
    bad, good = scores[is_default], scores[~is_default]
    ranks = rankdata(scores)
    of_bad = (ranks[is_default] - rankdata(bad)) / len(good)
    of_good = 1 - (ranks[~is_default] - rankdata(good)) / len(bad)
    variance = np.var(of_bad, ddof=1) / len(bad) + np.var(of_good, ddof=1) / len(good)
    return float(of_bad.mean()), float(np.sqrt(variance))
