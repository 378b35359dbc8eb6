"""Many tests at once: p-values adjusted so that alarms stay rare over the whole batch."""

import numpy as np


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the false discovery rate, in the given order, shape (tests,).

    Source: Benjamini, Hochberg (1995), "Controlling the false discovery rate"; equal to
    scipy.stats.false_discovery_control.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.04, 0.04]
    """
    count = len(p_values)
    order = np.argsort(p_values)[::-1]
    ranked = p_values[order] * count / np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(ranked), 1.0)
    return adjusted
