"""Test one column for drift, with pure functions of counts or of distribution functions."""

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import chdtrc, chdtri, gammaln, ndtr
from scipy.stats import kstwo

MIN_EXPECTED = 5.0
"""Minimum expected count of a level. Levels with a smaller expected count are pooled."""


def psi(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the population stability index (PSI) of two count vectors over the same bins.

    Half a count is added to every bin because otherwise an empty bin would make the PSI infinite.
    Source: Siddiqi (2006), "Credit Risk Scorecards", chapter 9: sum of (a - e) ln(a / e), where a
    and e are the shares of a bin in the batch and in the baseline.

    Args:
        baseline_counts, batch_counts: row counts per bin, shape (bins,).

    >>> round(psi(np.array([50, 50]), np.array([50, 50])), 6)
    0.0
    """
    expected = (baseline_counts + 0.5) / (baseline_counts.sum() + 0.5 * len(baseline_counts))
    actual = (batch_counts + 0.5) / (batch_counts.sum() + 0.5 * len(batch_counts))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def psi_noise(bins: int, baseline_size: int, batch_size: int, quantile: float) -> float:
    """Return the value that the PSI stays below with probability `quantile` if nothing drifted.

    Without drift, PSI / (1/m + 1/n) has a chi-square distribution with bins - 1 degrees of
    freedom. Here m is `baseline_size` and n is `batch_size`. Source: Yurdakul, Naranjo (2020),
    "Statistical properties of the population stability index".
    """
    if bins < 2:
        return 0.0
    return float(chdtri(bins - 1, 1 - quantile)) * (1 / baseline_size + 1 / batch_size)


def ks(heights: np.ndarray, m: int, n: int) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov statistic and its two-sided p-value.

    The statistic is the largest gap between the distribution functions of baseline and batch. The
    statistic reacts to a shift and to a change of spread, but does not show the direction of a
    shift. If many values are equal, such as rounded amounts, the p-value is conservative.

    The p-value comes from the exact one-sample distribution at the effective size m n / (m + n),
    as in Hodges (1958), "The significance probability of the Smirnov two-sample test", and in
    scipy.stats.ks_2samp(method="asymp").

    Args:
        heights: gaps between the two distribution functions, from `distribution.cdf_gaps`.
        m, n: number of values in the baseline (m) and in the batch (n).

    >>> statistic, p_value = ks(np.array([0.25, 0.5, 0.0]), 4, 4)
    >>> statistic
    0.5
    """
    statistic = float(np.max(np.abs(heights)))
    # With one value in the baseline and one in the batch, the effective size is 1/2, which rounds
    # to 0. The minimum is 1 because `kstwo` needs at least 1.
    size = max(round(m * n / (m + n)), 1)
    return statistic, float(kstwo.sf(statistic, size))


def wasserstein(points: np.ndarray, heights: np.ndarray, standard_deviation: float) -> float:
    """Return the Wasserstein-1 distance of baseline and batch, in baseline standard deviations.

    The distance is the area between the two distribution functions. The distance is also how far
    baseline values must move on average until the baseline is distributed like the batch. Return 0
    if the baseline is constant.

    Source: Ramdas, Garcia, Cuturi (2017), "On Wasserstein two-sample testing", equation for p = 1.
    Before the division, the distance equals scipy.stats.wasserstein_distance.

    Args:
        points: distinct values of baseline and batch, ascending, from `distribution.cdf_gaps`.
        heights: gap between the two distribution functions from each value to the next.
        standard_deviation: standard deviation of the baseline, in the values' unit.

    >>> wasserstein(np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.25, 0.0]), 2.0)
    0.5
    """
    if standard_deviation == 0:
        return 0.0
    return float(np.dot(np.abs(heights[:-1]), np.diff(points))) / standard_deviation


def chi_square(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> tuple[float, float, float]:
    """Return Pearson's chi-square statistic, its p-value and the total variation distance.

    Levels whose expected batch count is below MIN_EXPECTED are pooled into one cell. If the
    expected batch count of the pooled cell is still below MIN_EXPECTED, the pooled cell is left
    out. If fewer than two cells are left, the statistic is 0 and the p-value is 1. The total
    variation distance is calculated from all levels, without pooling.
    Source: Pearson (1900). If no level is pooled, the result equals
    scipy.stats.chi2_contingency(correction=False).

    Args:
        baseline_counts, batch_counts: row counts of the same levels, shape (levels,).
    """
    table = np.vstack([baseline_counts, batch_counts]).astype(float)
    total = table.sum()
    distance = 0.5 * float(np.abs(table[0] / table[0].sum() - table[1] / table[1].sum()).sum())
    expected_batch = table.sum(axis=0) * table[1].sum() / total
    rare = expected_batch < MIN_EXPECTED
    if rare.any():
        pooled = table[:, rare].sum(axis=1)
        table = table[:, ~rare]
        if pooled.sum() * batch_counts.sum() / total >= MIN_EXPECTED:
            table = np.column_stack([table, pooled])
    if table.shape[1] < 2:
        return 0.0, 1.0, distance
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, float(chdtrc(table.shape[1] - 1, statistic)), distance


def jensen_shannon(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the Jensen-Shannon distance of two count vectors over the same levels.

    The distance is between 0 (equal shares) and 1 (no level in common). Unlike the PSI, the
    distance is bounded, and no counts are added to levels that only the baseline or only the batch
    has. The distance has no p-value. `chi_square` gives a p-value for these counts.

    The distance is the square root of the divergence in bits. Sources: Lin (1991), "Divergence
    measures based on the Shannon entropy", and, for the square root, Endres, Schindelin (2003).

    Args:
        baseline_counts, batch_counts: row counts of the same levels, shape (levels,).

    >>> jensen_shannon(np.array([10, 0]), np.array([0, 3]))
    1.0
    """
    # Rounding can make a divergence close to 0 negative. The square root of a negative divergence
    # is nan, so nan_to_num turns nan into 0.
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(jensenshannon(baseline_counts, batch_counts, base=2)))


def null_share(
    baseline_nulls: int, baseline_size: int, batch_nulls: int, batch_size: int
) -> tuple[float, float]:
    """Return the batch's share of nulls minus the baseline's, and the two-sided p-value.

    The p-value comes from the two-proportion z-test with the pooled variance, as in
    statsmodels.stats.proportion.proportions_ztest.
    """
    difference = batch_nulls / batch_size - baseline_nulls / baseline_size
    pooled = (batch_nulls + baseline_nulls) / (batch_size + baseline_size)
    variance = pooled * (1 - pooled) * (1 / batch_size + 1 / baseline_size)
    if variance == 0:
        return difference, 1.0
    return difference, float(2 * ndtr(-abs(difference) / variance**0.5))


def unseen_levels(unseen: int, baseline_size: int, batch_size: int) -> tuple[float, float]:
    """Return the share of batch rows whose level is not in the baseline, and the p-value.

    Suppose that all rows of baseline and batch are assigned to baseline or batch at random. The
    p-value is the probability that all `unseen` rows fall into the batch. This is Fisher's exact
    test with an empty cell.

    Args:
        unseen: number of batch rows whose level is not in the baseline.
        baseline_size, batch_size: number of rows of the baseline and of the batch.
    """
    if not unseen:
        return 0.0, 1.0
    total = baseline_size + batch_size
    # Log of a quotient: the number of ways to choose `unseen` rows from the batch, divided by the
    # number of ways to choose `unseen` rows from all rows.
    ways = _log_choose(batch_size, unseen) - _log_choose(total, unseen)
    return unseen / batch_size, float(np.exp(ways))


def _log_choose(n: int, k: int) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
