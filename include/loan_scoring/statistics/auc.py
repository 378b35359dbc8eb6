"""How far an AUC is known: its standard error without a distribution being assumed."""

import numpy as np
from scipy.stats import rankdata


def delong(y: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return the AUC and its standard error, ties counted as half.

    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44, 837-845, by the midranks of Sun, Xu
    (2014), IEEE Signal Processing Letters 21, 1389-1393: a loan's rank among all less that among
    its own kind is how many of the other kind it outranks.

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


REPLICATES = 2000
"""Bootstrap replicates: the 2.5 % quantile is then the mean of some fifty of them."""


def auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a default scores above a paid loan.

    Ties count half (Mann-Whitney).

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    ones = np.ones(len(y))
    is_default = np.asarray(y) == 1
    return _weighted_auc(*_ranked(is_default, scores), ones[is_default], ones[~is_default])


def auc_differences(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int, replicates: int = REPLICATES
) -> np.ndarray:
    """Return bootstrap replicates of AUC(first) - AUC(second), shape (replicates,).

    Paired: each replicate draws the same loans for both. Stratified: defaults and paid loans are
    drawn with replacement apart, so that each replicate has as many of both as the hold-out.
    A draw is a weight for each loan, and an AUC a weighted sum over ranks that are sorted once.
    """
    is_default = np.asarray(y) == 1
    ranks = [_ranked(is_default, scores) for scores in (first, second)]
    defaults, paid = int(is_default.sum()), int((~is_default).sum())
    random = np.random.default_rng(seed)
    found = np.empty(replicates)
    for place in range(replicates):
        drawn = [
            np.bincount(random.integers(0, count, count), minlength=count).astype(float)
            for count in (defaults, paid)
        ]
        found[place] = _weighted_auc(*ranks[0], *drawn) - _weighted_auc(*ranks[1], *drawn)
    return found


def _ranked(is_default: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the dense ranks of the scores of defaults and of paid loans."""
    _, ranks = np.unique(scores, return_inverse=True)
    return ranks[is_default], ranks[~is_default]


def _weighted_auc(
    of_defaults: np.ndarray, of_paid: np.ndarray, defaults: np.ndarray, paid: np.ndarray
) -> float:
    """Return the AUC from dense ranks and weights of defaults and of paid loans."""
    top = max(of_defaults.max(), of_paid.max()) + 1
    at = np.bincount(of_paid, weights=paid, minlength=top)
    below = np.cumsum(at) - at / 2
    return float(defaults @ below[of_defaults] / (defaults.sum() * paid.sum()))


def expected_auc(probability: np.ndarray, true: np.ndarray) -> float:
    """Return how often a default scores above a paid loan, ties as half, by expected pairs.

    A loan is no pair with itself: sum over i != j of t_i (1 - t_j) [s_i > s_j], over that without
    the bracket. nan where no pair is to be expected.
    """
    _, places = np.unique(probability, return_inverse=True)
    bad = np.bincount(places, weights=true)
    good = np.bincount(places, weights=1 - true)
    own = float(np.sum(true * (1 - true)))
    below = np.cumsum(good) - good / 2
    pairs = bad.sum() * good.sum() - own
    return float((bad @ below - own / 2) / pairs) if pairs > 0 else float("nan")


def auc_against_chance(baseline: np.ndarray, batch: np.ndarray) -> tuple[float, float]:
    """Return the AUC of scores that should be higher in the batch, and its z without drift.

    Args:
        baseline, batch: scores, shapes (m,) and (n,), no nan.

    The variance is exact when labels are dealt out at random over the scores, ties as they are:
    Hanley, McNeil (1982), equation for AUC = 0.5, with the correction for ties of Lehmann (1975),
    "Nonparametrics", 1.2; equal to scipy.stats.mannwhitneyu(use_continuity=False).

    >>> auc_against_chance(np.array([1.0, 2.0]), np.array([2.0, 3.0]))[0]
    0.875
    """
    m, n = len(baseline), len(batch)
    total = m + n
    ranks = rankdata(np.concatenate([baseline, batch]).astype(float))
    auc = (float(ranks[m:].sum()) - n * (n + 1) / 2) / (m * n)
    # The sum of squares of the ranks holds the ties: without them it is that of 1 to m + n.
    spread = float(np.square(ranks - (total + 1) / 2).sum())
    variance = spread / (m * n * total * (total - 1))
    return auc, (auc - 0.5) / variance**0.5 if variance > 0 else 0.0


def auc_of_counts(bad: np.ndarray, good: np.ndarray) -> float:
    """Return the AUC of levels in ascending order, of whose loans so many went bad and good."""
    below = np.cumsum(good) - good
    return float(bad @ (below + good / 2) / (bad.sum() * good.sum()))
