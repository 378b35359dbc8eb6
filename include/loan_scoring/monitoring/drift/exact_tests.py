"""Test counts of a batch against the baseline exactly, given the counts of both together.

Without drift, baseline and batch are one set of rows that was divided at random. The number of
batch rows with a property then has a hypergeometric distribution, whatever the property's share is.
So these tests hold for small counts and at every size.
"""

from bisect import bisect_left
from math import floor, lgamma

import numpy as np
from scipy.special import gammaln

SAME = 1e-7
"""Probabilities that differ by less than this share of their size are equal, as in scipy."""
TILTS = np.geomspace(1e-3, 100.0, 300)
"""The values among which `_chernoff` looks for the smallest bound. Each gives a valid bound."""


def fisher(marked: int, rows: int, marked_before: int, rows_before: int) -> float:
    """Return the two-sided p-value of Fisher's exact test of a share in batch and baseline.

    The p-value is the probability of all divisions of the rows that are at most as probable as the
    observed one. Source: Fisher (1934), "Statistical methods for research workers", 5th edition,
    21.02; two-sided as in scipy.stats.fisher_exact.

    Args:
        marked, rows: batch rows with the property, and all batch rows.
        marked_before, rows_before: the same of the baseline.

    >>> round(fisher(3, 4, 1, 4), 6)
    0.485714
    """
    total = marked + marked_before
    mode = floor((rows + 1) * (total + 1) / (rows + rows_before + 2))
    if marked < mode:  # With the sides exchanged, the count is at or above its mode.
        return fisher(marked_before, rows_before, marked, rows)
    limit = _log_probability(marked, total, rows, rows_before) + SAME
    # In the other tail the batch has few marked rows, so the baseline has many.
    many = range(total - mode, min(total, rows_before) + 1)
    first = bisect_left(
        many, True, key=lambda n: _log_probability(n, total, rows_before, rows) <= limit
    )
    if first == 0:  # The observed division is the most probable one.
        return 1.0
    p_value = float(upper_tails(np.array([marked]), np.array([total]), rows, rows_before)[0])
    if first < len(many):
        start = np.array([many[first]])
        p_value += float(upper_tails(start, np.array([total]), rows_before, rows)[0])
    return min(1.0, p_value)


def upper_tails(marked: np.ndarray, total: np.ndarray, rows: int, others: int) -> np.ndarray:
    """Return the probabilities that at least `marked` of `total` rows fall into the batch.

    The first probability comes from log-gamma functions, the next ones from their ratios. More
    than 10 standard deviations and 50 rows away they no longer count.

    Args:
        marked, total: batch rows, and rows of batch and baseline, with each property, shape (k,).
        rows, others: number of rows of the batch and of the baseline.
    """
    share = total / (rows + others)
    width = 50 + 10 * int(np.max(rows * share * (1 - share) * others / (rows + others)) ** 0.5 + 1)
    count = marked[:, None] + np.arange(width)
    left = total[:, None] - count
    ratio = (
        np.maximum(left, 0) * np.maximum(rows - count, 0) / ((count + 1) * (others - left + 1.0))
    )
    # Beyond `total` or `rows` a ratio is 0, so that what follows is 0 too.
    terms = 1 + np.cumprod(np.where(ratio > 0, ratio, 0.0), axis=1).sum(axis=1)
    return np.asarray(
        np.minimum(np.exp(_log_probabilities(marked, total, rows, others)) * terms, 1)
    )


def rare_levels(
    before: np.ndarray, now: np.ndarray, rows_before: int, rows: int
) -> tuple[float, float]:
    """Return the effect and the p-value of a change among rare levels, such as one that surges.

    All rare levels together are one cell, which has a two-sided test. Each level alone has a
    one-sided test, because a rare level can hardly become rarer. The smallest p-value of single
    levels is multiplied by the number of levels whose p-value can be so small at all, given their
    rows in baseline and batch together. Source: Tarone (1990), "A modified Bonferroni method for
    discrete data". The smaller p-value of the two ways is doubled. The effect belongs to it: the
    change of the share of all rare levels, or the largest rise of the share of one.

    Args:
        before, now: row counts of the rare levels in baseline and batch, shape (levels,).
        rows_before, rows: rows of baseline and batch with any level.
    """
    together = fisher(int(now.sum()), rows, int(before.sum()), rows_before)
    change = now / rows - before / rows_before
    if len(now) == 1:
        return abs(float(change[0])), together
    # Many levels of a long tail have the same counts.
    pairs, repeats = np.unique(np.column_stack([now, now + before]), axis=0, return_counts=True)
    marked, total = pairs.T
    smallest = float(upper_tails(marked, total, rows, rows_before).min())
    least = np.exp(_log_probabilities(np.minimum(total, rows), total, rows, rows_before))
    single = smallest * int(repeats[least <= smallest * (1 + SAME)].sum())
    if together <= single:
        return abs(float(change.sum())), min(1.0, 2 * together)
    return max(float(change.max()), 0.0), min(1.0, 2 * single)


def unseen_levels(
    before: np.ndarray, now: np.ndarray, rows_before: int, rows: int
) -> tuple[float, float]:
    """Return the number of batch rows with unseen levels that is expected, and the p-value.

    If a column has a long tail of levels, some levels of each batch are unseen at training. How
    many is known from the levels with few rows: a level with k rows in baseline and batch together
    has all of them in the batch with a probability that only depends on k. This is the idea of
    Good (1953), "The population frequencies of species": with k = 1 the expected number of unseen
    levels follows from the levels that were seen once.

    Two p-values are doubled, and the smaller one is returned: a bound for the number of rows with
    unseen levels, and the probability that any level with so many rows as the largest unseen one
    is unseen. Without a long tail the second one is Fisher's exact test with an empty cell.

    Args:
        before, now: row counts of all levels of baseline or batch, shape (levels,).
        rows_before, rows: rows of baseline and batch with any level.
    """
    is_unseen = (before == 0) & (now > 0)
    total, levels = np.unique(before + now, return_counts=True)
    total, levels = total[total <= rows], levels[total <= rows]
    in_batch = _log_probabilities(total, total, rows, rows_before)
    expected = float((total * levels * np.exp(in_batch)).sum())
    if not is_unseen.any():
        return expected, 1.0
    is_large = total >= now[is_unseen].max()
    largest = float((levels * np.exp(in_batch))[is_large].sum())
    many = _chernoff(int(now[is_unseen].sum()), total, levels, in_batch)
    return expected, min(1.0, 2 * min(many, largest))


def _chernoff(observed: int, total: np.ndarray, levels: np.ndarray, in_batch: np.ndarray) -> float:
    """Return an upper bound of the probability of at least `observed` rows with unseen levels.

    Whether a level has all its rows in the batch is negatively associated between levels: Joag-Dev,
    Proschan (1983), "Negative association of random variables". So the bound of Chernoff (1952) for
    independent levels holds.

    Args:
        observed: batch rows with unseen levels.
        total: distinct numbers of rows of a level in baseline and batch together, shape (k,).
        levels: number of levels with so many rows, shape (k,).
        in_batch: log of the probability that all rows of such a level are in the batch, shape (k,).
    """
    absent = np.log1p(-np.exp(np.minimum(in_batch, -1e-15)))
    moments = np.logaddexp(absent, in_batch + TILTS[:, None] * total) @ levels
    return float(np.exp(min(0.0, float((moments - TILTS * observed).min()))))


def _log_probability(marked: int, total: int, rows: int, others: int) -> float:
    """Return the log-probability that exactly `marked` of `total` rows fall into the batch."""
    return (
        _log_choose(rows, marked)
        + _log_choose(others, total - marked)
        - _log_choose(rows + others, total)
    )


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _log_probabilities(marked: np.ndarray, total: np.ndarray, rows: int, others: int) -> np.ndarray:
    """Return `_log_probability` of each element, shape (k,)."""

    def log_choose(n: np.ndarray | int, k: np.ndarray) -> np.ndarray:
        return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    chosen = log_choose(rows, marked) + log_choose(others, total - marked)
    return np.asarray(chosen - log_choose(rows + others, total))
