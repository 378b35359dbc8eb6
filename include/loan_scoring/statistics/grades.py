"""Group probabilities into grades, and test the default rate of grades against their PD."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import betainc, betaincinv, chdtrc, xlogy

from loan_scoring.statistics.intervals import CONFIDENCE

LEAST_SHARE = 0.01
LEAST_OF_EACH = 10
"""A derived grade holds LEAST_SHARE of the loans, LEAST_OF_EACH defaults, and as many paid loans.

With fewer, its default rate is known too badly to be tested.
"""


@dataclass(frozen=True)
class Step:
    """A run of loans with similar probabilities, from `lowest` to `highest`, and its counts."""

    lowest: float
    highest: float
    loans: int
    defaults: int


def isotonic_steps(y: np.ndarray, probability: np.ndarray) -> list[Step]:
    """Return the steps of the isotonic regression of outcomes on probabilities, the lowest first.

    Pooling adjacent violators (Ayer et al. 1955, Annals of Mathematical Statistics 26, 641-647)
    gives the finest grouping whose default rates increase. So any merging of neighbours increases
    too.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
    """
    values, places = np.unique(probability, return_inverse=True)
    loans = np.bincount(places)
    defaults = np.bincount(places, weights=y)
    begins = isotonic_regression(defaults / loans, weights=loans).blocks
    return [
        Step(
            float(values[begin]),
            float(values[end - 1]),
            int(loans[begin:end].sum()),
            int(defaults[begin:end].sum()),
        )
        for begin, end in pairwise(begins)
    ]


def merge_steps(steps: Sequence[Step], count: int) -> list[Step]:
    """Merge neighbouring steps into `count` grades with the highest likelihood of the outcomes.

    The optimum over all groupings is found by dynamic programming (Fisher 1958, "On grouping for
    maximum homogeneity", JASA 53, 789-798), here with the binomial likelihood instead of squares.
    Grades that are too small are not allowed, see LEAST_SHARE and LEAST_OF_EACH. If no grouping
    into so many grades is allowed, the largest smaller number of grades is used, at least one.

    Args:
        steps: steps in ascending order of probability and of default rate.
        count: wanted number of grades.
    """
    loans = np.concatenate([[0], np.cumsum([step.loans for step in steps])])
    defaults = np.concatenate([[0], np.cumsum([step.defaults for step in steps])])
    n = loans[None, :] - loans[:, None]  # of the steps from row to before column
    d = defaults[None, :] - defaults[:, None]
    is_allowed = (n >= LEAST_SHARE * loans[-1]) & (np.minimum(d, n - d) >= LEAST_OF_EACH)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = xlogy(d, d / n) + xlogy(n - d, (n - d) / n)
    gain = np.where(is_allowed, likelihood, -np.inf)
    best = [np.where(np.arange(len(loans)) == 0, 0.0, -np.inf)]
    begins: list[np.ndarray] = []
    for _ in range(min(count, len(steps))):
        total = best[-1][:, None] + gain
        begins.append(total.argmax(axis=0))
        best.append(total.max(axis=0))
    possible = [k for k in range(1, len(best)) if np.isfinite(best[k][-1])]
    cuts = [len(steps)]
    for k in range(possible[-1] - 1 if possible else -1, -1, -1):
        cuts.append(int(begins[k][cuts[-1]]))
    cuts = cuts if possible else [len(steps), 0]
    return [
        Step(
            steps[begin].lowest,
            steps[end - 1].highest,
            int(loans[end] - loans[begin]),
            int(defaults[end] - defaults[begin]),
        )
        for end, begin in zip(cuts[-2::-1], cuts[:0:-1], strict=True)
    ]


def jeffreys_interval(
    defaults: float, loans: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return Jeffreys' interval of a default rate, with the ends 0 and 1 where all outcomes agree.

    Source: Brown, Cai, DasGupta (2001), "Interval estimation for a binomial proportion",
    Statistical Science 16, 101-133, section 3.1.2.

    >>> [round(limit, 4) for limit in jeffreys_interval(10, 100)]
    [0.0526, 0.1701]
    """
    tail = (1 - confidence) / 2
    a, b = defaults + 0.5, loans - defaults + 0.5
    low = 0.0 if defaults == 0 else float(betaincinv(a, b, tail))
    high = 1.0 if defaults == loans else float(betaincinv(a, b, 1 - tail))
    return low, high


def jeffreys_p(defaults: float, loans: float, pd: float) -> float:
    """Return the probability that the true default rate is at most the PD, given the outcomes.

    Small values mean that the PD is too low. Values near 1 mean that it is too high. The prior is
    Jeffreys'. Source: European Central Bank (2019), "Instructions for reporting the validation
    results of internal models", section 2.5.3.1.

    Args:
        defaults: number of loans that defaulted.
        loans: number of loans.
        pd: mean probability that was predicted for these loans.
    """
    return float(betainc(defaults + 0.5, loans - defaults + 0.5, pd))


@dataclass(frozen=True)
class HosmerLemeshow:
    """The statistic of Hosmer and Lemeshow, its degrees of freedom, and the p-value."""

    statistic: float
    freedom: int
    p_value: float


def hosmer_lemeshow(
    loans: Sequence[float], defaults: Sequence[float], pd: Sequence[float]
) -> HosmerLemeshow | None:
    """Test the default rates of all grades together against their PDs.

    The loans were not used for fitting, so there is one degree of freedom for each grade and not
    two fewer (Hosmer, Lemeshow, Sturdivant 2013, "Applied logistic regression", section 5.2.2).
    Loans are taken to default independently. Return None without a grade that can be tested.

    Args:
        loans: number of loans of each grade. Grades without loans are left out.
        defaults: number of defaults of each grade.
        pd: mean predicted probability of each grade.
    """
    n, d, p = (np.asarray(each, dtype=float) for each in (loans, defaults, pd))
    tested = (n > 0) & (p > 0) & (p < 1)
    n, d, p = n[tested], d[tested], p[tested]
    if not len(n):
        return None
    statistic = float(((d - n * p) ** 2 / (n * p * (1 - p))).sum())
    return HosmerLemeshow(statistic, len(n), float(chdtrc(len(n), statistic)))
