"""Group loans by probability, so that a resample draws numbers of groups and not single loans."""

from dataclasses import dataclass

import numpy as np

MOST_BINS = 4096
"""Maximum number of bins, apart from one that the threshold of the predicted class may add.

Intervals from this many bins differ from those of single loans by less than one resample differs
from another (docs/adr/0041), and the time to draw does not grow with the loans.
"""


@dataclass(frozen=True)
class ProbabilityBins:
    """Loans in bins of similar probabilities, the lowest probabilities first.

    With at most MOST_BINS distinct probabilities, each one is a bin of its own, and everything that
    is calculated from the bins is exact.
    """

    centres: np.ndarray
    """Mean probability of each bin, ascending, shape (bins,)."""
    loans: np.ndarray
    """Number of loans in each bin, shape (bins,)."""
    places: np.ndarray
    """Index of each loan's bin, shape (loans,)."""


def group_by_probability(probability: np.ndarray, threshold: float) -> ProbabilityBins:
    """Group loans into bins with about equally many loans each.

    Equal probabilities are in one bin. No bin has probabilities on both sides of the threshold.

    Args:
        probability: predicted probabilities, shape (loans,).
        threshold: probability from which a loan counts as predicted default.
    """
    values, places, counts = np.unique(probability, return_inverse=True, return_counts=True)
    if len(values) <= MOST_BINS:
        return ProbabilityBins(values, counts, places)
    lower = np.cumsum(counts) - counts
    is_first = np.diff(lower * MOST_BINS // len(probability), prepend=-1) > 0
    is_first[np.searchsorted(values, threshold) :][:1] = True
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(values)) - 1
    loans = np.add.reduceat(counts, first)
    means = np.add.reduceat(counts * values, first) / loans
    # Rounding must not move the mean of equal probabilities across the threshold.
    centres = np.clip(means, values[first], values[last])
    return ProbabilityBins(centres, loans, (np.cumsum(is_first) - 1)[places])
