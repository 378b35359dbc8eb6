"""Kolmogorov-Smirnov: the largest gap between two cumulative distributions of numbers.

Sees shifts and changes of spread alike; says nothing of their direction. With ties (amounts in
steps) its p-value is conservative.
"""

import numpy as np
from scipy.stats import kstwo


def ks(heights: np.ndarray, m: int, n: int) -> tuple[float, float]:
    """Return the two-sample KS statistic and its two-sided p-value.

    Args:
        heights: gaps between the two distribution functions, as distribution.gaps gives them.
        m, n: how many values the baseline and the batch have.

    The p-value is the exact one-sample distribution at the effective size m n / (m + n), as in
    Hodges (1958), "The significance probability of the Smirnov two-sample test", and in
    scipy.stats.ks_2samp(method="asymp").

    >>> statistic, p_value = ks(np.array([0.25, 0.5, 0.0]), 4, 4)
    >>> statistic
    0.5
    """
    statistic = float(np.max(np.abs(heights)))
    return statistic, float(kstwo.sf(statistic, round(m * n / (m + n))))
