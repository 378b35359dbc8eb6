"""Wasserstein-1: how far, on average, baseline values must move to become the batch's."""

import numpy as np


def wasserstein(points: np.ndarray, heights: np.ndarray, standard_deviation: float) -> float:
    """Return the distance in baseline standard deviations; 0 where the baseline is constant.

    Args:
        points, heights: values and the gaps between the two distribution functions from each on,
            as distribution.gaps gives them.
        standard_deviation: of the baseline, in the values' unit.

    It is the area between the two functions: Ramdas, Garcia, Cuturi (2017), "On Wasserstein
    two-sample testing", equation for p = 1; equal to scipy.stats.wasserstein_distance.

    >>> wasserstein(np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.25, 0.0]), 2.0)
    0.5
    """
    if standard_deviation == 0:
        return 0.0
    return float(np.dot(np.abs(heights[:-1]), np.diff(points))) / standard_deviation
