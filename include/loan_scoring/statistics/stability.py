"""Measure how stable clusters are under resampling, and how far they separate default rates."""

from collections.abc import Callable

import numpy as np

Cluster = Callable[[np.ndarray], np.ndarray]
"""A function that clusters rows. It takes row indices, with repetitions, shape (draws,), and
returns the cluster number of each draw.
"""


def jaccard_indices(old: np.ndarray, new: np.ndarray, olds: int, news: int) -> np.ndarray:
    """Return the Jaccard index of each old cluster with each new cluster, shape (olds, news).

    The index is the number of rows in both clusters, divided by the number of rows in at least one
    of them. It is 0 if both clusters are empty.

    Args:
        old: old cluster number of each row, shape (rows,).
        new: new cluster number of each row, shape (rows,).
        olds: number of old clusters.
        news: number of new clusters.
    """
    both = np.bincount(old * news + new, minlength=olds * news).reshape(olds, news).astype(float)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def bootstrap_stability(
    clusters: np.ndarray, count: int, again: Cluster, resamples: int, seed: int
) -> np.ndarray:
    """Return the mean Jaccard index of each cluster over bootstrap resamples, shape (count,).

    Rows are drawn with replacement and clustered again. For each cluster, the largest Jaccard index
    with a new cluster counts, among the rows that were drawn at least once (Hennig 2007, function
    clusterboot of his R package fpc). A resample without a row of a cluster does not count for it.

    Args:
        clusters: cluster number of each row, shape (rows,).
        count: number of clusters.
        again: function that clusters drawn rows into at most `count` clusters.
        resamples: number of resamples.
        seed: seed of the draws.
    """
    dice = np.random.default_rng(seed)
    found = np.full((resamples, count), np.nan)
    for place in range(resamples):
        draws = np.sort(dice.integers(0, len(clusters), len(clusters)))
        drawn, first = np.unique(draws, return_index=True)
        old, new = clusters[drawn], again(draws)[first]
        is_drawn = np.bincount(old, minlength=count) > 0
        best = jaccard_indices(old, new, count, count).max(axis=1)
        found[place, is_drawn] = best[is_drawn]
    return np.asarray(np.nanmean(found, axis=0))


def separation(y: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Return how much of the variance of outcomes lies between clusters, and its standard error.

    This is epsilon squared (Kelley 1935): the share of the variance between clusters, without the
    part that clusters by chance have too. Unlike that share, it does not grow with the number of
    clusters. 0 means that default rates are alike, and it may be slightly below 0. The standard
    error comes from the jackknife over rows, which is exact for a function of counts, because all
    rows of a cluster with the same outcome give the same value.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        clusters: cluster number of each row, shape (rows,).

    Returns:
        separation and standard error; both 0 if all outcomes are equal or there is one cluster.
    """
    loans = np.bincount(clusters).astype(float)
    defaults = np.bincount(clusters, weights=y, minlength=len(loans))
    defaults, loans = defaults[loans > 0], loans[loans > 0]
    rows, whole = loans.sum(), _epsilon_squared(loans, defaults)
    left_out = []
    for place in range(len(loans)):
        step = np.arange(len(loans)) == place
        for is_default, weight in (
            (1, defaults[place]),
            (0, loans[place] - defaults[place]),
        ):
            if weight:
                left_out.append(
                    (weight, _epsilon_squared(loans - step, defaults - step * is_default))
                )
    weights, values = np.array(left_out).T
    spread = np.sum(weights * (values - np.average(values, weights=weights)) ** 2)
    return whole, float(np.sqrt((rows - 1) / rows * spread))


def _epsilon_squared(loans: np.ndarray, defaults: np.ndarray) -> float:
    defaults, loans = defaults[loans > 0], loans[loans > 0]
    rows, clusters = loans.sum(), len(loans)
    rate = defaults.sum() / rows
    total = rows * rate * (1 - rate)
    if clusters < 2 or rows <= clusters or total <= 0:
        return 0.0
    between = np.sum(loans * (defaults / loans - rate) ** 2)
    by_chance = (clusters - 1) * (total - between) / (rows - clusters)
    return float((between - by_chance) / total)
