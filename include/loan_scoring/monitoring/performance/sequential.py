"""Accumulate the outcomes of many batches, so that small batches are watched too.

The method is the risk-adjusted CUSUM of Steiner, Cook, Farewell, Treasure (2000), "Monitoring
surgical performance using risk-adjusted cumulative sum charts", Biostatistics 1, 441-452. Each
night adds the logarithm of a likelihood ratio: how much better a shift of one floor explains the
night's outcomes than the probabilities do. The sum never falls below 0. A sum at or above the limit
is an alarm. So many small differences in one direction add up, and chance does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import norm

from loan_scoring.statistics.weighted_sums import SumVariance

SIDES = 3
"""Number of sums that are watched: default rate up, default rate down, AUC down."""
ABOVE_LIMIT = 1.0
"""How far a sum may rise above the limit, so that it falls below soon after the shift has ended."""
CURVE_BAND = 2.0
"""Differences within this many standard errors of the calibration curve add nothing.

The curve's error is the same every night, so it does not average out, and without this band it
would add up to an alarm. What is looked for is a shift beyond the band: the floor less the band,
but at least half the floor, so that a model with a small hold-out is watched too.
"""
ATTAINABLE = 0.95
"""A shift is looked for only if it is below this share of the largest value that S can have."""
LEAST_LIMIT = 3.0
"""Lowest limit: the outcomes are then exp(3) = 20 times likelier with the shift than without.

Large nights would need less, because one night tells them apart. They have no use for less.
"""
STATES = 100
"""Number of values of the sum for which `limit_of` calculates the chance of an alarm."""


@dataclass(frozen=True)
class Increment:
    """What one night adds to the sum of one side, and the variance of that without any shift."""

    value: float
    variance: float


@dataclass(frozen=True)
class Accumulated:
    """The sum of one side after a night, its limit, and the nights since it was last 0.

    `nights` is 0 if the sum is 0.
    """

    value: float
    limit: float
    nights: int

    @property
    def is_alarm(self) -> bool:
        """Return whether the sum has reached its limit."""
        return self.value >= self.limit


def night_increment(
    y: np.ndarray, true: np.ndarray, weights: np.ndarray, variance: SumVariance, shift: float
) -> Increment:
    """Return what a night adds to the sum that looks for a rise of S by `shift`.

    S is sum(weights * (y - true)), less the band of the curve. With t the exponent whose tilted
    distribution has the mean that is looked for, the increment is t S - log E exp(t S). Without a
    shift its exponential has the mean 1, whatever the probabilities are. With weights 1 and
    independent loans this is the score of Steiner et al. (2000) for the odds ratio exp(t). The
    correlation of loans adds t^2/2 times its variance to the logarithm, as for a normal variable.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        true: corrected probabilities of default, shape (rows,).
        weights: weight of each outcome, shape (rows,). With negative weights the sum looks for a
            fall.
        variance: variance of S, by source.
        shift: size of S that is looked for.
    """
    band = CURVE_BAND * variance.curve**0.5
    sought = max(shift - band, shift / 2)
    largest = float((np.maximum(weights, 0) - weights * true).sum())
    if not 0 < sought < ATTAINABLE * largest:
        return Increment(0.0, 0.0)
    tilt = sought / (variance.chance + variance.correlation)
    for _ in range(3):  # Newton's method: the tilted mean is `sought`
        tilted = _tilted(true, weights, tilt)
        mean = float((weights * (tilted - true)).sum()) + tilt * variance.correlation
        slope = float((weights**2 * tilted * (1 - tilted)).sum()) + variance.correlation
        tilt = max(tilt + (sought - mean) / slope, tilt / 4)
    cumulant = float(np.log1p(true * np.expm1(tilt * weights)).sum())
    cumulant += tilt**2 * variance.correlation / 2 - tilt * float((weights * true).sum())
    residual = float((weights * (y - true)).sum())
    return Increment(
        tilt * (residual - band) - cumulant, tilt**2 * (variance.chance + variance.correlation)
    )


def _tilted(true: np.ndarray, weights: np.ndarray, tilt: float) -> np.ndarray:
    raised = true * np.exp(tilt * weights)
    return np.asarray(raised / (1 - true + raised))


def accumulate(increments: Sequence[Increment], nights_per_alarm: float) -> list[Accumulated]:
    """Return the sum of one side after each night.

    The limit after a night follows from the mean variance of the increments so far.

    Args:
        increments: increments of the side, in the order of the nights.
        nights_per_alarm: mean number of nights to the first false alarm of this side.
    """
    found: list[Accumulated] = []
    total = value = 0.0
    nights = 0
    for place, each in enumerate(increments, start=1):
        total += each.variance
        limit = limit_of(total / place, nights_per_alarm)
        value = min(max(value + each.value, 0.0), limit + ABOVE_LIMIT)
        nights = nights + 1 if value > 0 else 0
        found.append(Accumulated(value, limit, nights))
    return found


def limit_of(variance: float, nights_per_alarm: float) -> float:
    """Return the limit at which a sum without a shift alarms once in so many nights.

    The limit is at least LEAST_LIMIT.

    Args:
        variance: mean variance of a night's increment.
        nights_per_alarm: mean number of nights to the first alarm.

    >>> round(limit_of(1.0, 930), 2), round(limit_of(1.0, 336), 2)  # Montgomery: 5 and 4
    (5.0, 4.0)
    """
    if variance <= 0:
        return max(float(np.log(nights_per_alarm)), LEAST_LIMIT)
    return max(_limit(float(f"{variance:.2g}"), nights_per_alarm), LEAST_LIMIT)


@lru_cache(maxsize=1000)
def _limit(variance: float, nights_per_alarm: float) -> float:
    """Solve `nights_to_alarm` for the limit by bisection, up to Lorden's bound.

    exp(limit) is a lower bound of the mean number of nights for every distribution of the
    increments whose exponential has the mean 1 (Lorden 1971, Annals of Mathematical Statistics 42,
    1897-1908). So the limit is at most log(nights_per_alarm).
    """
    low, high = 0.0, float(np.log(nights_per_alarm))
    while high - low > 1e-4:
        middle = (low + high) / 2
        if nights_to_alarm(middle, variance) < nights_per_alarm:
            low = middle
        else:
            high = middle
    return high


def nights_to_alarm(limit: float, variance: float, shift: float = 0.0) -> float:
    """Return the mean number of nights until a sum that starts at 0 reaches the limit.

    The increments are normal, with the mean (shift - 1/2) variance. The sum is a Markov chain with
    STATES + 1 states (Brook, Evans 1972, Biometrika 59, 539-549).

    Args:
        limit: limit of the sum.
        variance: variance of the increments.
        shift: 0 without a shift, 1 with the shift that is looked for.
    """
    width = 2 * limit / (2 * STATES + 1)
    centres = np.arange(STATES + 1) * width
    upper = centres + width / 2
    mean, spread = (shift - 0.5) * variance, variance**0.5
    below = norm.cdf((upper[None, :] - centres[:, None] - mean) / spread)
    moves = np.diff(below, axis=1, prepend=0.0)
    if below[-1, -1] > 1 - 1e-12:  # no alarm in a lifetime, even from the highest value
        return float("inf")
    return float(np.linalg.solve(np.eye(STATES + 1) - moves, np.ones(STATES + 1))[0])
