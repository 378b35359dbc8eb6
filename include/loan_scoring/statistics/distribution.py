"""Sort a numeric column once, and calculate several statistics from the sorted values.

The statistics are KS, Wasserstein, bin counts, mean and median. Only distinct values and their
cumulative counts are kept. This saves time, because columns of rounded amounts have few distinct
values.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distribution:
    """An empirical distribution, stored as distinct values and cumulative counts."""

    values: np.ndarray
    """Distinct values in ascending order, shape (distinct,)."""
    up_to: np.ndarray
    """Cumulative counts, shape (distinct + 1,). The first count is 0.

    The count at index i + 1 is the number of values less than or equal to `values[i]`.
    """

    @classmethod
    def of(cls, numbers: np.ndarray) -> "Distribution":
        """Return the distribution of an array of numbers, shape (n,).

        The array must not contain nan.

        >>> Distribution.of(np.array([5.0, 1.0, 5.0])).up_to.tolist()
        [0, 1, 3]
        """
        ordered = np.sort(numbers)
        is_last = np.empty(len(ordered), bool)
        is_last[-1:] = True
        np.not_equal(ordered[1:], ordered[:-1], out=is_last[:-1])
        ends = np.flatnonzero(is_last)
        return cls(ordered[ends], np.concatenate([[0], ends + 1]))

    @property
    def size(self) -> int:
        """Number of values, with repeated values counted each time."""
        return int(self.up_to[-1])

    @property
    def mean(self) -> float:
        """Mean of the values. There must be at least one value."""
        return float(np.dot(self.values, np.diff(self.up_to))) / self.size

    @property
    def median(self) -> float:
        """Median of the values, equal to numpy.median. There must be at least one value."""
        middle = [(self.size - 1) // 2, self.size // 2]
        return float(self.values[np.searchsorted(self.up_to[1:], middle, side="right")].mean())

    def counts(self, edges: np.ndarray) -> np.ndarray:
        """Return the number of values in each bin, shape (edges + 1,).

        A value that equals an edge belongs to the bin above the edge.
        """
        below = self.up_to[np.searchsorted(self.values, edges, side="left")]
        return np.diff(below, prepend=0, append=self.size)


def merged_counts(
    baseline: Distribution, batch: Distribution
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct values of both sides, and how many values of each side are up to each.

    The values of both distributions are already sorted, so they are merged without another sort.

    Returns:
        The distinct values in ascending order, and the cumulative counts of the baseline and of
        the batch at each value, all of shape (points,).

    >>> [each.tolist() for each in merged_counts(
    ...     Distribution.of(np.array([1.0, 2.0])), Distribution.of(np.array([2.0, 3.0]))
    ... )]
    [[1.0, 2.0, 3.0], [1, 2, 2], [0, 1, 2]]
    """
    m, n = len(baseline.values), len(batch.values)
    places = np.searchsorted(baseline.values, batch.values, side="right") + np.arange(n)
    is_batch = np.zeros(m + n, bool)
    is_batch[places] = True
    points = np.empty(m + n)
    points[places] = batch.values
    points[~is_batch] = baseline.values
    of_batch = np.cumsum(is_batch, dtype=np.int32)
    of_baseline = np.arange(1, m + n + 1, dtype=np.int32) - of_batch
    # `points` contains a value twice if both distributions contain the value. Keep only the second
    # copy, because at the first copy only one distribution function has taken its step.
    is_whole = np.append(points[1:] != points[:-1], True)
    return (
        points[is_whole],
        baseline.up_to[of_baseline[is_whole]],
        batch.up_to[of_batch[is_whole]],
    )


def cdf_gaps(baseline: Distribution, batch: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """Return F_baseline - F_batch, the difference of the distribution functions, at each value.

    Returns:
        The distinct values of both distributions in ascending order, shape (points,), and
        F_baseline - F_batch at each value, shape (points,).

    >>> points, heights = cdf_gaps(
    ...     Distribution.of(np.array([1.0, 2.0])), Distribution.of(np.array([2.0, 3.0]))
    ... )
    >>> points.tolist(), heights.tolist()
    ([1.0, 2.0, 3.0], [0.5, 0.5, 0.0])
    """
    points, before, now = merged_counts(baseline, batch)
    return points, before / baseline.size - now / batch.size
