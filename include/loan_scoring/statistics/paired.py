"""Compare the decisions and probabilities of two models on the same loans."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from loan_scoring.statistics.intervals import CONFIDENCE


@dataclass(frozen=True)
class PairedRates:
    """Rates of a challenger and of the champion on the same loans, and their differences.

    An interval is that of the difference, challenger minus champion. A rate is None if there are no
    loans, and an interval is None with fewer than two.
    """

    loans: int
    approval_rate: float | None
    champion_approval_rate: float | None
    approval_interval: tuple[float, float] | None
    mean_probability: float | None
    champion_mean_probability: float | None
    probability_interval: tuple[float, float] | None


def paired_interval(
    first: np.ndarray, second: np.ndarray, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the normal interval of mean(first - second), or None with fewer than two rows.

    Args:
        first, second: values of the same loans, shape (rows,) each.
        confidence: level of the interval.

    >>> paired_interval(np.array([1.0, 1.0]), np.array([0.0, 0.0]))
    (1.0, 1.0)
    """
    if len(first) < 2:
        return None
    differences = np.asarray(first, float) - np.asarray(second, float)
    mean = float(np.mean(differences))
    reach = norm.ppf((1 + confidence) / 2) * np.std(differences, ddof=1) / len(differences) ** 0.5
    return mean - float(reach), mean + float(reach)


def paired_rates(
    approved: np.ndarray,
    champion_approved: np.ndarray,
    probability: np.ndarray,
    champion_probability: np.ndarray,
) -> PairedRates:
    """Return the rates of two models on the same loans.

    Args:
        approved, champion_approved: whether each model approves, shape (rows,) each.
        probability, champion_probability: probabilities of default, shape (rows,) each.
    """

    def mean(values: np.ndarray) -> float | None:
        return float(np.mean(values)) if len(values) else None

    return PairedRates(
        len(approved),
        mean(approved),
        mean(champion_approved),
        paired_interval(approved, champion_approved),
        mean(probability),
        mean(champion_probability),
        paired_interval(probability, champion_probability),
    )


def beyond(interval: tuple[float, float] | None, limit: float) -> bool:
    """Return whether the interval of a difference lies wholly beyond a limit, on either side.

    >>> beyond((0.11, 0.2), 0.1), beyond((0.09, 0.2), 0.1), beyond((-0.2, -0.11), 0.1)
    (True, False, True)
    """
    return interval is not None and (interval[0] > limit or interval[1] < -limit)
