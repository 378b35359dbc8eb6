"""Sort a column of numbers once, for KS, Wasserstein, bin counts, mean and median.

Only distinct values are kept, with cumulative counts: amounts in steps have few of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Distribution:
    """An empirical distribution: its distinct values and how many values lie at or below each."""

    values: np.ndarray
    """Ascending, each once, shape (distinct,)."""
    up_to: np.ndarray
    """How many values are below the first, then at or below each, shape (distinct + 1,)."""

    @classmethod
    def of(cls, numbers: np.ndarray) -> "Distribution":
        """Return the distribution of numbers, shape (n,), no nan.

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
        """The number of values."""
        return int(self.up_to[-1])

    @property
    def mean(self) -> float:
        """The mean, of at least one value."""
        return float(np.dot(self.values, np.diff(self.up_to))) / self.size

    @property
    def median(self) -> float:
        """The median as numpy.median gives it, of at least one value."""
        middle = [(self.size - 1) // 2, self.size // 2]
        return float(self.values[np.searchsorted(self.up_to[1:], middle, side="right")].mean())

    @cached_property
    def shares(self) -> np.ndarray:
        """The distribution function below the first value, then from each value on."""
        return self.up_to / self.size

    def counts(self, edges: np.ndarray) -> np.ndarray:
        """Return counts by bin, shape (edges + 1,); a value on an edge is in the bin above it."""
        below = self.up_to[np.searchsorted(self.values, edges, side="left")]
        return np.diff(below, prepend=0, append=self.size)


def cdf_gaps(baseline: Distribution, batch: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """Return every distinct value of both, ascending, and F_baseline - F_batch from each on.

    Shapes (points,). The two are merged by position, without sorting again.

    >>> points, heights = cdf_gaps(
    ...     Distribution.of(np.array([1.0, 2.0])), Distribution.of(np.array([2.0, 3.0]))
    ... )
    >>> points.tolist(), heights.tolist()
    ([1.0, 2.0, 3.0], [0.5, 0.5, 0.0])
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
    heights = baseline.shares[of_baseline] - batch.shares[of_batch]
    # A value of both sides occurs twice; only its last place has both steps.
    is_whole = np.append(points[1:] != points[:-1], True)
    return points[is_whole], heights[is_whole]
