"""Detect with DDM whether the error rate of a stream of loans has risen above its lowest level.

DDM (drift detection method) needs no baseline and detects a slow rise over many batches. Source:
Gama, Medas, Castillo, Rodrigues (2004), "Learning with drift detection", SBIA, 286-295.
"""

import numpy as np

WARNING, DRIFT = 2.0, 3.0
"""DDM distances from which the level is `warning` or `drift`, as in Gama et al."""
MIN_LOANS, MIN_ERRORS = 30, 10
"""Minimum number of loans and of errors in the stream before DDM gives a distance.

The minimum of 30 loans is from Gama et al. The minimum of 10 errors is our addition, because
otherwise a stream that starts without errors has a lowest level of zero. DDM would then report
drift at the first error.
"""


def ddm(errors: np.ndarray) -> np.ndarray:
    """Return the DDM distance after each loan: how far the error rate is above its lowest level.

    After n loans, p is the share of errors so far and s = sqrt(p (1 - p) / n). p_min and s_min are
    p and s after the loan at which p + s was lowest. The distance is (p + s - p_min) / s_min, in
    standard deviations, so the distance is 1 at the lowest level. The distance is nan until the
    stream has MIN_LOANS loans and MIN_ERRORS errors.

    Gama et al. start a new stream after each drift. Here each model version has only one stream.

    Args:
        errors: whether the predicted class was wrong, in the order of the stream, shape (loans,).

    Returns:
        The distance after each loan, shape (loans,).
    """
    count, wrong = np.arange(1, len(errors) + 1), np.cumsum(errors)
    p = wrong / count
    s = np.sqrt(p * (1 - p) / count)
    has_enough = (count >= MIN_LOANS) & (wrong >= MIN_ERRORS)
    level = np.where(has_enough, p + s, np.inf)
    lowest = np.minimum.accumulate(level)
    # `at` is the index of the loan at which the lowest level so far was first reached. The index
    # stays until a later loan reaches a lower level.
    is_new = has_enough & (level < np.append(np.inf, lowest[:-1]))
    at = np.maximum.accumulate(np.where(is_new, np.arange(len(errors)), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(has_enough, (p + s - p[at]) / s[at], np.nan)


def ddm_level(distance: float | None) -> str | None:
    """Return the level of a DDM distance: `none`, `warning` or `drift`.

    Return None if the distance is None.
    """
    if distance is None:
        return None
    if distance < WARNING:
        return "none"
    return "warning" if distance < DRIFT else "drift"
