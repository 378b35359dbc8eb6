"""Test one column for drift, with pure functions of counts or of distribution functions."""

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import chdtrc, gammaincc, ndtr, xlogy
from scipy.stats import kstwo

from loan_scoring.monitoring.drift.exact_tests import fisher

MIN_EXPECTED = 10.0
"""Minimum expected count of a level in `chi_square`. Levels with a smaller one are rare, and have
an exact test.
"""
SYMMETRIC = 1e-4
"""Below this product of skewness and z, the tails of normal and gamma distribution are the same."""


def largest_cells(
    baseline_counts: np.ndarray, batch_counts: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of the largest levels, and of all other levels together as a last cell.

    Which levels are the largest is decided by baseline and batch together. By the baseline alone
    they would be those that chance made large there, and each batch would have fewer of them.

    Args:
        baseline_counts, batch_counts: row counts of the same levels, shape (levels,).
        most: largest number of levels with a cell of their own.

    >>> largest_cells(np.array([5, 1, 1]), np.array([4, 2, 1]), 1)
    (array([5, 2]), array([4, 3]))
    """
    if len(baseline_counts) <= most:
        return baseline_counts, batch_counts
    order = np.argsort(-(baseline_counts + batch_counts), kind="stable")
    kept, rest = order[:most], order[most:]
    return (
        np.append(baseline_counts[kept], baseline_counts[rest].sum()),
        np.append(batch_counts[kept], batch_counts[rest].sum()),
    )


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


def rank_sum(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """Return the share of pairs in which the batch's value is higher, and the two-sided p-value.

    Equal values count half. The share is 0.5 if neither side tends to be higher. The test finds a
    shift of a flat distribution for which the largest gap between the distribution functions, as
    in `ks`, is small.

    The p-value is that of scipy.stats.mannwhitneyu(method="asymptotic", use_continuity=False). If
    the ranks are skewed to the observed side, as in a column in which most values are equal, the
    normal tail is far too small, and the tail of the gamma distribution with the same three moments
    is taken. Sources: Mann, Whitney (1947), with ties as in Lehmann (1975), "Nonparametrics";
    Pearson (1895), type III.

    Args:
        before, now: how many values of baseline and batch are up to each distinct value, from
            `distribution.merged_counts`.
    """
    m, n = int(before[-1]), int(now[-1])
    up_to = before + now
    ties = np.diff(up_to, prepend=0).astype(float)
    # The middle rank of each value, around its mean.
    ranks = up_to - ties / 2 - (m + n) / 2
    squares = ties * ranks * ranks
    variance = float(squares.sum()) / (m + n)
    if variance == 0 or m + n < 3:
        return 0.5, 1.0
    excess = float(np.diff(now, prepend=0).astype(float) @ ranks)
    z = excess / (n * m / (m + n - 1) * variance) ** 0.5
    skewness = float(squares @ ranks) / (m + n) / variance**1.5
    skewness *= (m - n) * (m + n - 1) ** 0.5 / ((m * n) ** 0.5 * (m + n - 2))
    tail = float(ndtr(-abs(z)))
    if skewness * z > SYMMETRIC:
        shape = 4 / skewness**2
        tail = max(tail, float(gammaincc(shape, shape + abs(z) * shape**0.5)))
    return 0.5 + excess / (m * n), min(1.0, 2 * tail)


def chi_square(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> tuple[float, float | None]:
    """Return the likelihood-ratio chi-square of the shares of levels, and its p-value.

    Levels whose expected batch count is below MIN_EXPECTED are pooled into one cell, which is left
    out if its expected count is still below MIN_EXPECTED. If fewer than two cells are left, the
    p-value is None. Two cells have an exact test.

    Pearson's statistic is not used because it is far too large where few rows are expected and the
    p-value must be tiny: with 5 rows expected, p-values below 0.00001 were 10 times as frequent.
    Sources: Wilks (1938); Williams (1976), "Improved likelihood ratio tests for complete
    contingency tables". Without the correction of Williams the statistic is that of
    scipy.stats.chi2_contingency(correction=False, lambda_="log-likelihood").

    Args:
        baseline_counts, batch_counts: row counts of the same levels, shape (levels,).
    """
    table = np.vstack([baseline_counts, batch_counts]).astype(float)
    is_rare = rare_places(baseline_counts, batch_counts)
    if is_rare.any():
        pooled = table[:, is_rare].sum(axis=1)
        expected_rare = pooled.sum() * table[1].sum() / table.sum()
        table = table[:, ~is_rare]
        if expected_rare >= MIN_EXPECTED:
            table = np.column_stack([table, pooled])
    cells = table.shape[1]
    if cells < 2:
        return 0.0, None
    total, by_cell, by_side = table.sum(), table.sum(axis=0), table.sum(axis=1)
    expected = np.outer(by_side, by_cell) / total
    correction = ((total / by_side).sum() - 1) * ((total / by_cell).sum() - 1)
    statistic = 2 * float(xlogy(table, table / expected).sum())
    statistic /= 1 + float(correction) / (6 * total * (cells - 1))
    if cells == 2:
        (before, rest_before), (now, rest) = table.astype(int).tolist()
        return statistic, fisher(now, now + rest, before, before + rest_before)
    return statistic, float(chdtrc(cells - 1, statistic))


def total_variation(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the total variation distance: the share of rows that would have to change level.

    >>> total_variation(np.array([8, 2]), np.array([3, 1]))
    0.05
    """
    shares = (counts / counts.sum() for counts in (baseline_counts, batch_counts))
    return round(0.5 * float(np.abs(np.subtract(*shares)).sum()), 12)


def rare_places(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> np.ndarray:
    """Return whether each level's expected batch count is below MIN_EXPECTED, shape (levels,)."""
    both = baseline_counts + batch_counts
    return np.asarray(both * batch_counts.sum() / both.sum() < MIN_EXPECTED)


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
) -> tuple[float, float | None]:
    """Return the batch's share of nulls minus the baseline's, and the two-sided p-value.

    The p-value is that of Fisher's exact test. It is None if neither side has nulls, because then
    there is nothing to test.
    """
    difference = batch_nulls / batch_size - baseline_nulls / baseline_size
    if not baseline_nulls + batch_nulls:
        return difference, None
    return difference, fisher(batch_nulls, batch_size, baseline_nulls, baseline_size)
