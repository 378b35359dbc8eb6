"""Wasserstein-1: how far, on average, baseline values must move to become the batch's."""

import numpy as np
from scipy.stats import wasserstein_distance


def wasserstein(baseline: np.ndarray, batch: np.ndarray, standard_deviation: float) -> float:
    """Return the distance in baseline standard deviations; 0 where the baseline is constant.

    Args:
        baseline, batch: values, shapes (m,) and (n,), no nan.
        standard_deviation: of the baseline, in the values' unit.

    Source: Ramdas, Garcia, Cuturi (2017), "On Wasserstein two-sample testing", equation for p = 1.
    """
    if standard_deviation == 0:
        return 0.0
    return float(wasserstein_distance(baseline, batch)) / standard_deviation
