"""Adjust the p-values of all tests of a batch, so that many tests do not cause false alarms."""

import numpy as np
from scipy.stats import false_discovery_control


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the false discovery rate, shape (tests,).

    The adjusted p-values are in the order of `p_values`.

    Source: Benjamini, Hochberg (1995), "Controlling the false discovery rate".

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.04, 0.04]
    """
    return np.asarray(false_discovery_control(p_values))
