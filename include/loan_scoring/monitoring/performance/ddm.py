"""DDM: whether the error rate of a stream has risen above its lowest level.

Gama, Medas, Castillo, Rodrigues (2004), "Learning with drift detection", SBIA, 286-295. It needs
no baseline. It detects a slow rise over many batches.
"""

import numpy as np

WARNING, DRIFT = 2.0, 3.0
"""Levels of Gama et al., in standard deviations at the lowest level."""
MIN_LOANS, MIN_ERRORS = 30, 10
"""The lowest level is taken only after this many loans and errors. The 30 are from Gama et al. The
10 are ours: an error-free start gives a lowest level of zero, which every later value exceeds."""


def ddm(errors: np.ndarray) -> np.ndarray:
    """Return how far the error rate is above its lowest level, after each loan, shape (loans,).

    p is the share of errors so far and s = sqrt(p (1 - p) / n); p_min and s_min are those at which
    p + s was lowest. The distance is (p + s - p_min) / s_min, in standard deviations: 1 at the
    lowest level, WARNING and DRIFT as Gama et al. define them; nan until MIN_LOANS and MIN_ERRORS
    are reached. Gama et al. start a new stream after a drift; here a new model version does.

    Args:
        errors: whether the predicted class was wrong, in the order of the stream, shape (loans,).
    """
    count, wrong = np.arange(1, len(errors) + 1), np.cumsum(errors)
    p = wrong / count
    s = np.sqrt(p * (1 - p) / count)
    has_enough = (count >= MIN_LOANS) & (wrong >= MIN_ERRORS)
    level = np.where(has_enough, p + s, np.inf)
    lowest = np.minimum.accumulate(level)
    # The loan at which each lowest level was first reached; it holds until a lower one.
    is_new = has_enough & (level < np.append(np.inf, lowest[:-1]))
    at = np.maximum.accumulate(np.where(is_new, np.arange(len(errors)), 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(has_enough, (p + s - p[at]) / s[at], np.nan)


def ddm_level(distance: float | None) -> str | None:
    """Return the level of a DDM distance: none, warning or drift; None where there is none."""
    if distance is None:
        return None
    if distance < WARNING:
        return "none"
    return "warning" if distance < DRIFT else "drift"
