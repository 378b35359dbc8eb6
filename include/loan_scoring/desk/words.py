"""Say probabilities and contributions in a person's words."""

import math
from collections.abc import Iterable, Sequence

MOST_DIGITS = 6
"""Most decimal places of a percentage. Beyond them, a probability is called just below."""


def deciding_percent(probability: float | None, thresholds: Iterable[float]) -> str | None:
    """Return a percentage with as many digits as tell the probability from every threshold.

    One decimal place is usual. More are shown if the rounded figure would lie on the other side
    of a threshold, or on the threshold although the probability does not.

    >>> deciding_percent(0.3997, (0.2, 0.4)), deciding_percent(0.312, (0.2, 0.4))
    ('39.97 %', '31.2 %')
    """
    if probability is None:
        return None
    limits = tuple(thresholds)
    for digits in range(1, MOST_DIGITS + 1):
        # parsed from the text, because the text is what a person compares with the threshold
        text = f"{100 * probability:.{digits}f}"
        if all(_side(float(text), 100 * each) == _side(probability, each) for each in limits):
            return f"{text} %"
    nearest = min(limits, key=lambda each: abs(each - probability))
    return f"just {'below' if probability < nearest else 'above'} {100 * nearest:g} %"


def _side(value: float, threshold: float) -> int:
    if math.isclose(value, threshold, rel_tol=1e-12):
        return 0
    return 1 if value > threshold else -1


def points_of_probability(base: float, contributions: Sequence[float]) -> list[float]:
    """Return what each contribution to the log-odds adds to the probability.

    The points and the probability at the base add up to the probability of all contributions.
    A point keeps the sign of its contribution and does not depend on an order: it is the
    integrated gradient of the logistic function along the straight line from the base to the
    application, so each contribution gets its share of the difference.

    Source: Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks.

    Args:
        base: log-odds before any contribution.
        contributions: what each input adds to the log-odds.
    """
    total = math.fsum(contributions)
    start = probability_of(base)
    if abs(total) < 1e-6:  # the limit: the slope of the logistic function at the base
        slope = start * (1 - start)
    else:
        slope = (probability_of(base + total) - start) / total
    return [slope * each for each in contributions]


def probability_of(log_odds: float) -> float:
    """Return the probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))
