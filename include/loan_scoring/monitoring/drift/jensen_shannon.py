"""Jensen-Shannon distance: how far shares by level have moved, between 0 (equal) and 1 (disjoint).

Bounded where PSI is not, and at home with levels that one side lacks. It has no p-value here: the
chi-square test of the same counts has one.
"""

import numpy as np
from scipy.special import rel_entr


def jensen_shannon(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the distance of two count vectors over the same levels, shape (levels,).

    The root of the divergence in bits: Lin (1991), "Divergence measures based on the Shannon
    entropy", and Endres, Schindelin (2003) for the root; equal to
    scipy.spatial.distance.jensenshannon(base=2).

    >>> jensen_shannon(np.array([10, 0]), np.array([0, 3]))
    1.0
    """
    expected = baseline_counts / baseline_counts.sum()
    actual = batch_counts / batch_counts.sum()
    middle = (expected + actual) / 2
    nats = (rel_entr(expected, middle).sum() + rel_entr(actual, middle).sum()) / 2
    return float(np.sqrt(max(nats / np.log(2), 0.0)))
