"""Tests on shares: of levels (chi-square), of nulls, and of levels that were never seen."""

import numpy as np
from scipy.special import chdtrc, gammaln, ndtr

MIN_EXPECTED = 5.0
"""Cells that expect less are pooled, the usual rule for the chi-square approximation."""


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

    The p-value is the chance that all those rows fall into the batch when the rows of both are
    dealt out at random: Fisher's exact test with an empty cell.
    """
    if not unseen:
        return 0.0, 1.0
    total = baseline_size + batch_size
    # Of all ways to choose the places of those rows, the share that lie in the batch.
    ways = _log_choose(batch_size, unseen) - _log_choose(total, unseen)
    return unseen / batch_size, float(np.exp(ways))


def _log_choose(n: int, k: int) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
