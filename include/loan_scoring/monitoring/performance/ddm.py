"""DDM: whether a stream of errors has left the lowest level that it had.

Gama, Medas, Castillo, Rodrigues (2004), "Learning with drift detection", SBIA, 286-295. It needs
no baseline; of batches it sees what creeps in over many of them.
"""

import numpy as np

WARNING, DRIFT = 2.0, 3.0
"""Levels of Gama et al., in standard deviations of the lowest level."""
MIN_LOANS, MIN_ERRORS = 30, 10
"""Before both are seen no lowest level is taken. The 30 are Gama's; without the errors a lucky
start (no error, thus no standard deviation) would be a level that nothing ever holds."""


def ddm(errors: np.ndarray) -> np.ndarray:
    """Return how far the error rate is above its lowest level, after each loan, shape (loans,).

    p is the share of errors so far and s = sqrt(p (1 - p) / n); p_min and s_min are those at which
    p + s was lowest. The distance is (p + s - p_min) / s_min, in standard deviations: 1 at the
    lowest level, WARNING and DRIFT as Gama et al. have them; nan until MIN_LOANS and MIN_ERRORS are
    seen. Where they learn anew after a drift and start over, a new model version starts a new
    stream here.

    Args:
        errors: whether the predicted class was wrong, in the order of the stream, shape (loans,).
    """
    count, wrong = np.arange(1, len(errors) + 1), np.cumsum(errors)
    p = wrong / count
    s = np.sqrt(p * (1 - p) / count)
    is_on = (count >= MIN_LOANS) & (wrong >= MIN_ERRORS)
    level = np.where(is_on, p + s, np.inf)
    lowest = np.minimum.accumulate(level)
    # Where a lowest level was first reached; it holds until a lower one is.
    is_new = is_on & (level < np.append(np.inf, lowest[:-1]))
    at = np.maximum.accumulate(np.where(is_new, np.arange(len(errors)), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(is_on, (p + s - p[at]) / s[at], np.nan)
