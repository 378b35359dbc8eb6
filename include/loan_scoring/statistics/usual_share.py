"""Estimate the usual share of a rare event from earlier nights, and test the share of one night."""

from dataclasses import dataclass

import numpy as np

NIGHTS_DIFFER = 0.25
"""The least coefficient of variation that the share of a night is assumed to have.

A few nights may be alike by chance. Without this limit a large night would then be unusual although
its share is only a little larger, because a large night has almost no binomial noise.
"""

CHANCE = 1e-6
"""The tail probability below which a count is unusual.

A night has up to a hundred rules to test. So in a hundred nights there are 10,000 tests, and
none of them may raise an alert by chance.
"""


@dataclass(frozen=True)
class UsualShare:
    """A beta distribution of the share of a night.

    `mean` is the pooled share of `nights` earlier nights, `variation` the coefficient of variation.
    """

    mean: float
    variation: float
    nights: int

    def tail(self, count: int, rows: int) -> float:
        """Return the probability of `count` or more events in a night of `rows` rows.

        The number of events has a beta-binomial distribution.
        """
        from scipy import stats

        first = (1 - self.mean) / self.variation**2 - self.mean
        second = first * (1 - self.mean) / self.mean
        return max(0.0, float(stats.betabinom.sf(count - 1, rows, first, second)))


def usual_share(counts: np.ndarray, rows: np.ndarray) -> UsualShare:
    """Return the usual share of the earlier nights, without those that stand out.

    The nights are taken in ascending order of their shares, the lower half at once. The first night
    that is unusual for the nights before it ends this. So a bad night does not hide the next one.
    A share that has lasted for half of the nights is usual.

    Args:
        counts: events of each earlier night, shape (nights,).
        rows: rows of each earlier night, each at least 1, shape (nights,).
    """
    order = np.argsort(counts / rows, kind="stable")
    counts, rows = counts[order], rows[order]
    taken = (len(counts) + 1) // 2
    found = _fit(counts[:taken], rows[:taken])
    while taken < len(counts) and found.tail(int(counts[taken]), int(rows[taken])) >= CHANCE:
        taken += 1
        found = _fit(counts[:taken], rows[:taken])
    return found


def _fit(counts: np.ndarray, rows: np.ndarray) -> UsualShare:
    """Fit the beta distribution to nights by moments.

    Its variation has two sources: the nights differ, and their mean is known only roughly. The
    first is widened if there are few nights, because the variance of a few nights is more often too
    low than too high. If no night has an event, this is the posterior of Jeffreys' prior.
    """
    events, nights = counts.sum(), len(counts)
    mean = float((events + 0.5) / (rows.sum() + 1))
    # The squared error of a night's count is its binomial variance, and the variance of the share
    # times rows x (rows - 1). One night is lost to the estimated mean.
    errors = np.sum((counts - rows * mean) ** 2) * nights / max(nights - 1, 1)
    spread = (errors - np.sum(rows * mean * (1 - mean))) / max(np.sum(rows * (rows - 1.0)), 1.0)
    between = max(NIGHTS_DIFFER**2, spread / mean**2) * (1 + 3 / nights)
    variation = between * bool(events) + 1 / (events + 0.5)
    # A beta distribution cannot vary more than a share that is either 0 or 1.
    return UsualShare(mean, float(np.sqrt(min(variation, 0.9 * (1 - mean) / mean))), nights)
