"""Drift tests of one column, each a pure function of counts or of distribution functions."""

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import chdtrc, chdtri, gammaln, ndtr
from scipy.stats import kstwo

MIN_EXPECTED = 5.0
"""Levels with a smaller expected count are pooled, the usual rule for the chi-square test."""


def psi(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the population stability index of two count vectors over the same bins, shape (bins,).

    Half a count is added to every bin, so that an empty one gives a finite value.
    Source: Siddiqi (2006), "Credit Risk Scorecards", chapter 9: sum of (a - e) ln(a / e).

    >>> round(psi(np.array([50, 50]), np.array([50, 50])), 6)
    0.0
    """
    expected = (baseline_counts + 0.5) / (baseline_counts.sum() + 0.5 * len(baseline_counts))
    actual = (batch_counts + 0.5) / (batch_counts.sum() + 0.5 * len(batch_counts))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def psi_noise(bins: int, baseline_size: int, batch_size: int, quantile: float) -> float:
    """Return the value that PSI stays below with probability `quantile` where nothing drifted.

    Without drift PSI / (1/m + 1/n) is chi-square with bins - 1 degrees of freedom:
    Yurdakul, Naranjo (2020), "Statistical properties of the population stability index".
    """
    if bins < 2:
        return 0.0
    return float(chdtri(bins - 1, 1 - quantile)) * (1 / baseline_size + 1 / batch_size)


def ks(heights: np.ndarray, m: int, n: int) -> tuple[float, float]:
    """Return the two-sample Kolmogorov-Smirnov statistic and its two-sided p-value.

    The statistic is the largest gap between the two distribution functions. It reacts to a shift
    and to a change of spread, and does not give the direction. With ties (amounts in steps) the
    p-value is conservative.

    Args:
        heights: gaps between the two distribution functions, from distribution.cdf_gaps.
        m, n: number of values in the baseline and in the batch.

    The p-value is the exact one-sample distribution at the effective size m n / (m + n), as in
    Hodges (1958), "The significance probability of the Smirnov two-sample test", and in
    scipy.stats.ks_2samp(method="asymp").

    >>> statistic, p_value = ks(np.array([0.25, 0.5, 0.0]), 4, 4)
    >>> statistic
    0.5
    """
    statistic = float(np.max(np.abs(heights)))
    # One value on each side has an effective size of 1/2, which would round to 0.
    size = max(round(m * n / (m + n)), 1)
    return statistic, float(kstwo.sf(statistic, size))


def wasserstein(points: np.ndarray, heights: np.ndarray, standard_deviation: float) -> float:
    """Return the Wasserstein-1 distance in baseline standard deviations.

    It is how far, on average, baseline values must move to become the batch's: the area between
    the two distribution functions. 0 where the baseline is constant.

    Args:
        points, heights: values, and the gaps between the two distribution functions from each
            value on, from distribution.cdf_gaps.
        standard_deviation: of the baseline, in the values' unit.

    Source: Ramdas, Garcia, Cuturi (2017), "On Wasserstein two-sample testing", equation for
    p = 1; equal to scipy.stats.wasserstein_distance.

    >>> wasserstein(np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.25, 0.0]), 2.0)
    0.5
    """
    if standard_deviation == 0:
        return 0.0
    return float(np.dot(np.abs(heights[:-1]), np.diff(points))) / standard_deviation


def chi_square(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> tuple[float, float, float]:
    """Return Pearson's statistic, its p-value and the total variation distance of the shares.

    Both vectors count the same levels, shape (levels,). Levels whose expected batch count is below
    5 are pooled; with fewer than two cells left there is nothing to test and p is 1.
    Source: Pearson (1900); equal to scipy.stats.chi2_contingency(correction=False) when no level
    is pooled.
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
    """Return the Jensen-Shannon distance of two count vectors over the same levels, (levels,).

    It is between 0 (equal shares) and 1 (no level in common): bounded where PSI is not, and
    defined for levels that one side lacks. It has no p-value; the chi-square test of the same
    counts has one.

    The root of the divergence in bits: Lin (1991), "Divergence measures based on the Shannon
    entropy", and Endres, Schindelin (2003) for the root.

    >>> jensen_shannon(np.array([10, 0]), np.array([0, 3]))
    1.0
    """
    # Rounding can make a divergence close to 0 negative, whose root is nan.
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(jensenshannon(baseline_counts, batch_counts, base=2)))


def null_share(
    baseline_nulls: int, baseline_size: int, batch_nulls: int, batch_size: int
) -> tuple[float, float]:
    """Return batch minus baseline share of nulls and the two-sided p-value of that difference.

    Source: two-proportion z-test with the pooled variance, as in
    statsmodels.stats.proportion.proportions_ztest.
    """
    difference = batch_nulls / batch_size - baseline_nulls / baseline_size
    pooled = (batch_nulls + baseline_nulls) / (batch_size + baseline_size)
    variance = pooled * (1 - pooled) * (1 / batch_size + 1 / baseline_size)
    if variance == 0:
        return difference, 1.0
    return difference, float(2 * ndtr(-abs(difference) / variance**0.5))


def unseen_levels(unseen: int, baseline_size: int, batch_size: int) -> tuple[float, float]:
    """Return the share of batch rows with a level that the baseline lacks, and its p-value.

    The p-value is the probability that all these rows fall into the batch when the rows of both
    sides are assigned at random: Fisher's exact test with an empty cell.
    """
    if not unseen:
        return 0.0, 1.0
    total = baseline_size + batch_size
    # Of all ways to place these rows, the share that puts all of them into the batch.
    ways = _log_choose(batch_size, unseen) - _log_choose(total, unseen)
    return unseen / batch_size, float(np.exp(ways))


def _log_choose(n: int, k: int) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
