"""Calculate the AUC and its uncertainty.

The AUC is the probability that a defaulted loan has a higher score than a paid loan. A tie counts
as half.
"""

import numpy as np
from scipy.stats import rankdata

REPLICATES = 2000
"""Number of bootstrap replicates.

2000 replicates are enough for a stable 95 % interval, because 50 replicates lie beyond each limit.
"""


def outranked(good: np.ndarray) -> np.ndarray:
    """Return the number of paid loans with a lower score than each distinct score, shape (scores,).

    A paid loan with an equal score counts as half. To get the AUC, take the mean of these numbers
    over all defaults and divide by the number of paid loans (Mann-Whitney).

    Args:
        good: number of paid loans at each distinct score, in ascending order of the score, shape
            (scores,).
    """
    return np.asarray(np.cumsum(good) - good / 2)


def auc(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve. A tie of a default and a paid loan counts as half.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        scores: scores, shape (rows,).

    >>> auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    bad, good, distinct = _places_by_outcome(np.asarray(y) == 1, scores)
    below = outranked(np.bincount(good, minlength=distinct))
    return float(below[bad].sum() / (len(bad) * len(good)))


def auc_of_counts(bad: np.ndarray, good: np.ndarray) -> float:
    """Return the AUC from the counts of loans at each distinct score.

    Args:
        bad: number of defaults at each distinct score, in ascending order of the score, shape
            (scores,).
        good: number of paid loans at each distinct score, in ascending order of the score, shape
            (scores,).
    """
    return float(bad @ outranked(good) / (bad.sum() * good.sum()))


def auc_differences(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int, replicates: int = REPLICATES
) -> np.ndarray:
    """Return bootstrap replicates of AUC(first) - AUC(second), shape (replicates,).

    The bootstrap is paired. This means that each replicate uses one set of drawn loans for both
    models. The bootstrap is also stratified. This means that defaults and paid loans are drawn
    separately, so each replicate has as many defaults and as many paid loans as the hold-out. A
    replicate is stored as a weight for each loan, so the scores need to be sorted only once.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        first, second: scores of the two models on these loans, shape (rows,) each.
        seed: random seed for drawing the loans.
        replicates: number of replicates.
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
    """Return the index of each loan's score in the sorted list of distinct scores.

    Returns:
        Indices of the defaults, shape (defaults,), indices of the paid loans, shape (paid,), and
        the number of distinct scores.
    """
    values, places = np.unique(scores, return_inverse=True)
    return places[is_default], places[~is_default], len(values)


def expected_auc(probability: np.ndarray, true: np.ndarray) -> float:
    """Return the expected AUC of scores if each loan defaults with a given true probability.

    With scores s and probabilities t, the AUC is the sum over i != j of t_i (1 - t_j) [s_i > s_j],
    divided by the sum over i != j of t_i (1 - t_j). A tie counts as half. Pairs with i = j are left
    out, because a loan cannot outrank itself.

    Return nan if the divisor is 0.

    Args:
        probability: scores s, shape (rows,).
        true: probability t that each loan defaults, shape (rows,).
    """
    _, places = np.unique(probability, return_inverse=True)
    bad = np.bincount(places, weights=true)
    good = np.bincount(places, weights=1 - true)
    own = float(np.sum(true * (1 - true)))
    pairs = bad.sum() * good.sum() - own
    return float((bad @ outranked(good) - own / 2) / pairs) if pairs > 0 else float("nan")


def auc_against_chance(baseline: np.ndarray, batch: np.ndarray) -> tuple[float, float]:
    """Return the AUC of scores that separate a batch from the baseline, and the AUC's z value.

    The AUC is the probability that a row of the batch has a higher score than a row of the
    baseline. The z value is (AUC - 0.5) divided by the standard error that the AUC has without
    drift.

    The standard error is exact if the rows are assigned at random to batch and baseline, even with
    ties. The equation is from Hanley, McNeil (1982), for AUC = 0.5. The correction for ties is from
    Lehmann (1975), "Nonparametrics", 1.2. The p-value of the z value equals the p-value of
    scipy.stats.mannwhitneyu(use_continuity=False).

    Args:
        baseline: scores of the baseline's rows, shape (m,), no nan.
        batch: scores of the batch's rows, shape (n,), no nan.

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
    """Return the AUC and its standard error, without assuming a distribution of the scores.

    A tie counts as half. The method is DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44,
    837-845, calculated from midranks as in Sun, Xu (2014), IEEE Signal Processing Letters 21,
    1389-1393. For each default, the rank among all loans minus the rank among the defaults is the
    number of paid loans with a lower score. For each paid loan, the rank among all loans minus the
    rank among the paid loans is the number of defaults with a lower score.

    Args:
        y: outcomes, 1 for default, with at least two defaults and two paid loans, shape (rows,).
        scores: scores, shape (rows,).

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
