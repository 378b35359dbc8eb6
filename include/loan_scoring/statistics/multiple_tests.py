"""Adjust the p-values of the many tests of a batch, so that false alarms stay rare."""

import numpy as np
from scipy.stats import false_discovery_control


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the false discovery rate, in the given order, shape (tests,).

    Source: Benjamini, Hochberg (1995), "Controlling the false discovery rate".

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.04, 0.04]
    """
    return np.asarray(false_discovery_control(p_values))
