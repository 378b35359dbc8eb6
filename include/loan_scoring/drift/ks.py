"""Kolmogorov-Smirnov: the largest gap between two cumulative distributions of numbers.

Sees shifts and changes of spread alike; says nothing of their direction. With ties (amounts in
steps) its p-value is conservative.
"""

import numpy as np
from scipy.stats import kstwo


def ks(baseline_sorted: np.ndarray, batch: np.ndarray) -> tuple[float, float]:
    """Return the two-sample KS statistic and its two-sided p-value.

    Args:
        baseline_sorted: baseline values in ascending order, shape (m,), no nan.
        batch: values of the batch, shape (n,), no nan.

    The p-value is the exact one-sample distribution at the effective size m n / (m + n), as in
    Hodges (1958), "The significance probability of the Smirnov two-sample test", and in
    scipy.stats.ks_2samp(method="asymp").

    >>> statistic, p_value = ks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    >>> statistic
    0.5
    """
    m, n = len(baseline_sorted), len(batch)
    batch_sorted = np.sort(batch)
    # Both step functions change only at batch values and just before them.
    at_baseline = np.searchsorted(baseline_sorted, batch_sorted, side="right") / m
    at_batch = np.searchsorted(batch_sorted, batch_sorted, side="right") / n
    before_baseline = np.searchsorted(baseline_sorted, batch_sorted, side="left") / m
    before_batch = np.searchsorted(batch_sorted, batch_sorted, side="left") / n
    statistic = float(
        max(np.max(np.abs(at_baseline - at_batch)), np.max(np.abs(before_baseline - before_batch)))
    )
    return statistic, float(kstwo.sf(statistic, round(m * n / (m + n))))
