"""Calculate differences in approval between the groups of a protected attribute, with intervals.

The metrics are defined as in fairlearn, and tests compare the results with fairlearn's results.
Fairlearn's functions are not called here, because they build a pandas DataFrame for each resample.
This would be too slow, because an interval needs hundreds of resamples.
"""

from dataclasses import dataclass

import numpy as np

from loan_scoring.statistics.intervals import CONFIDENCE, Estimate
from loan_scoring.statistics.labels import Labels


@dataclass(frozen=True)
class GroupCounts:
    """Number of loans and number of approved loans in each group, shape (groups,) each."""

    loans: np.ndarray
    approved: np.ndarray

    def rates(self) -> np.ndarray:
        """Return the approval rate of each group. The rate is nan for a group without loans."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.approved / self.loans)

    def resampled(self, resamples: int, dice: np.random.Generator) -> np.ndarray:
        """Return the approval rates of bootstrap resamples, shape (resamples, groups).

        Each group is resampled separately (Efron 1979). If n loans are drawn with replacement from
        a group with approval rate r, the number of approved loans has the distribution
        Binomial(n, r). Therefore this number is drawn directly, without drawing single loans.
        """
        rates = self.rates()
        drawn = dice.binomial(self.loans, np.nan_to_num(rates), (resamples, len(rates)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(np.isnan(rates), np.nan, drawn / self.loans))


def count_by_group(values: Labels, groups: list[str], approved: np.ndarray) -> GroupCounts:
    """Count the loans and approved loans of each group.

    Args:
        values: group of each row.
        groups: groups to compare. Rows of other groups are not counted.
        approved: whether each row is approved, shape (rows,), bool.
    """
    loans, accepted = values.counts(), values.counts(approved)
    return GroupCounts(
        np.array([int(loans.get(group, 0)) for group in groups]),
        np.array([int(accepted.get(group, 0)) for group in groups]),
    )


def demographic_parity(all_loans: GroupCounts, resamples: int, seed: int) -> dict[str, Estimate]:
    """Return the demographic parity difference and ratio of approval.

    The difference is the highest approval rate minus the lowest approval rate, as in Agarwal et al.
    (2018), "A reductions approach to fair classification". The ratio is the lowest approval rate
    divided by the highest approval rate, as in the four-fifths rule, 29 CFR 1607.4 D.

    Args:
        all_loans: counts of all loans.
        resamples: number of bootstrap resamples.
        seed: random seed for the resamples.
    """
    rates = all_loans.rates()
    drawn = all_loans.resampled(resamples, np.random.default_rng(seed))
    difference, reach = _difference(rates), _reach(_range(drawn - rates))
    ratio = float(_ratio(rates))
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = _range(np.log(drawn / rates))
    # If no loan of a resample is approved, the ratio of that resample is undefined (nan). Count the
    # resample's error as infinite, because without the resample the interval would be too narrow.
    factor = np.exp(_reach(np.where(np.isnan(ranges), np.inf, ranges)))
    highest = ratio * factor if np.isfinite(factor) else 1.0
    return {
        "demographic_parity_difference": _within(
            difference, difference - reach, difference + reach
        ),
        "demographic_parity_ratio": _within(ratio, ratio / factor, highest),
    }


def equal_odds(
    paid: GroupCounts, defaulted: GroupCounts, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return the equal opportunity difference and the equalized odds difference of approval.

    Paid loans are the positive class, because approval is the benefit. The equal opportunity
    difference compares only paid loans: the highest approval rate of a group minus the lowest. The
    equalized odds difference is the larger of this difference and the corresponding difference
    for defaulted loans.
    Source: Hardt, Price, Srebro (2016), "Equality of opportunity in supervised learning".

    Return an empty dictionary if any group has no paid loans or no defaulted loans.

    Args:
        paid, defaulted: counts of the paid and of the defaulted loans. Index i is the
            same group in both.
        resamples: number of bootstrap resamples.
        seed: random seed for the resamples.
    """
    if not (paid.loans.all() and defaulted.loans.all()):
        return {}
    dice = np.random.default_rng(seed)
    drawn = [(each.rates(), each.resampled(resamples, dice)) for each in (paid, defaulted)]
    opportunity, other = (_difference(rates) for rates, _ in drawn)
    ranges = [_range(resampled - rates) for rates, resampled in drawn]
    reach, reach_of_both = _reach(ranges[0]), _reach(np.maximum(*ranges))
    larger = max(opportunity, other)
    return {
        "equal_opportunity_difference": _within(
            opportunity, opportunity - reach, opportunity + reach
        ),
        "equalized_odds_difference": _within(
            larger, larger - reach_of_both, larger + reach_of_both
        ),
    }


def approval_differences(
    values: Labels,
    groups: list[str],
    y: np.ndarray,
    approved: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    """Return all differences in approval between groups whose outcomes are known, with intervals.

    These are the results of `demographic_parity` and `equal_odds`.

    Args:
        values: group of each row.
        groups: groups to compare, at least two.
        y: outcomes, 1 for default, nan for unknown, shape (rows,).
        approved: whether each row is approved, shape (rows,), bool.
        resamples: number of bootstrap resamples.
        seed: random seed for the resamples.
    """
    paid, defaulted = (
        count_by_group(values.among(kind), groups, approved[kind]) for kind in (y == 0, y == 1)
    )
    found = demographic_parity(count_by_group(values, groups, approved), resamples, seed)
    return found | equal_odds(paid, defaulted, resamples, seed)


def _difference(rates: np.ndarray) -> float:
    return float(rates.max() - rates.min())


def _ratio(rates: np.ndarray) -> float:
    """Return the lowest rate divided by the highest rate.

    Return 1 if nobody is approved, because then all rates are equal.
    """
    return float(rates.min() / rates.max()) if rates.max() > 0 else 1.0


def _range(deviations: np.ndarray) -> np.ndarray:
    """Return the highest minus the lowest deviation in each resample, shape (resamples,).

    Args:
        deviations: resampled rate minus observed rate of each group, shape (resamples, groups).
    """
    return np.asarray(deviations.max(axis=-1) - deviations.min(axis=-1))


def _reach(ranges: np.ndarray) -> float:
    """Return the half-width of an interval that is valid for all group differences at once.

    The half-width is the CONFIDENCE quantile of `ranges`. The error of the difference between any
    two groups is at most the range of the errors of all groups. So this half-width is valid for
    every difference, including the largest difference. Source: Tukey (1953), "The problem of
    multiple comparisons". Here the range comes from the bootstrap.

    The percentile interval of the largest difference is not used, because the largest of several
    noisy differences is biased upwards. In resamples the bias is even larger. So a percentile
    interval would exclude 0 even if all groups were treated equally.

    Args:
        ranges: range of the groups' errors in each resample, shape (resamples,).
    """
    # Do not interpolate between two ranges, because a range may be infinite.
    place = int(np.ceil(CONFIDENCE * (len(ranges) + 1))) - 1
    return float(np.sort(ranges)[min(place, len(ranges) - 1)])


def _within(value: float, lower: float, upper: float) -> Estimate:
    """Return an estimate with the limits of its interval clipped to [0, 1]."""
    return Estimate(value, float(np.clip(lower, 0, 1)), float(np.clip(upper, 0, 1)))
