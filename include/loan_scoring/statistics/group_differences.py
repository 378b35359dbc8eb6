"""Differences in approval between the groups of a protected attribute, with intervals.

The definitions are fairlearn's, and tests compare the two. Fairlearn's functions build a pandas
frame for each resample, which is too slow for the hundreds that an interval takes.
"""

from dataclasses import dataclass

import numpy as np

from loan_scoring.statistics.intervals import CONFIDENCE, Estimate


@dataclass(frozen=True)
class GroupCounts:
    """Loans and approved loans by group, shape (groups,) each."""

    loans: np.ndarray
    approved: np.ndarray

    def rates(self) -> np.ndarray:
        """Return the approved share of each group, nan for a group without loans."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.approved / self.loans)

    def resampled(self, resamples: int, dice: np.random.Generator) -> np.ndarray:
        """Return the rates of bootstrap resamples within each group, shape (resamples, groups).

        Of n loans drawn with replacement from a group with approval rate r, Binomial(n, r) are
        approved: drawing that count is the bootstrap (Efron 1979).
        """
        rates = self.rates()
        drawn = dice.binomial(self.loans, np.nan_to_num(rates), (resamples, len(rates)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(np.isnan(rates), np.nan, drawn / self.loans))


def count_by_group(values: np.ndarray, groups: list[str], approved: np.ndarray) -> GroupCounts:
    """Return loans and approved loans of each of the groups.

    Args:
        values: the group of each row, shape (rows,).
        groups: the groups to compare; rows of others are left out.
        approved: whether each row is approved, shape (rows,), bool.
    """
    masks = [values == group for group in groups]
    return GroupCounts(
        np.array([mask.sum() for mask in masks]), np.array([approved[mask].sum() for mask in masks])
    )


def demographic_parity(all_loans: GroupCounts, resamples: int, seed: int) -> dict[str, Estimate]:
    """Return demographic parity difference and ratio of approval.

    They are the highest approval rate minus the lowest, and the lowest over the highest: Agarwal
    et al. (2018), "A reductions approach to fair classification"; the ratio is that of the
    four-fifths rule, 29 CFR 1607.4 D.
    """
    rates = all_loans.rates()
    drawn = all_loans.resampled(resamples, np.random.default_rng(seed))
    difference, reach = _difference(rates), _reach(_range(drawn - rates))
    ratio = float(_ratio(rates))
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = _range(np.log(drawn / rates))
    # A resample without an approved loan says nothing of the ratio: its limit is 1.
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
    """Return equal opportunity and equalized odds difference of approval.

    Approval is the benefit, so a paid loan is the positive class. Equal opportunity is the
    difference between groups in the approval of paid loans; equalized odds is the larger of that
    and the same difference among defaulted loans. Hardt, Price, Srebro (2016), "Equality of
    opportunity in supervised learning". Nothing where a group lacks loans of one outcome.

    Args:
        paid, defaulted: loans of each outcome, of the same groups in the same order.
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


def _difference(rates: np.ndarray) -> float:
    return float(rates.max() - rates.min())


def _ratio(rates: np.ndarray) -> float:
    """Return the lowest over the highest; 1 where nobody is approved, as all rates are equal."""
    return float(rates.min() / rates.max()) if rates.max() > 0 else 1.0


def _range(deviations: np.ndarray) -> np.ndarray:
    """Return the range of the groups' errors in each resample, shape (resamples,)."""
    return np.asarray(deviations.max(axis=-1) - deviations.min(axis=-1))


def _reach(ranges: np.ndarray) -> float:
    """Return the half-width of the simultaneous interval of all differences, at CONFIDENCE.

    The largest of several noisy differences is biased upwards, and more so in resamples: their
    percentiles never cover groups that are treated alike. But no difference of two groups is off
    by more than the range of the groups' errors, and so neither is the largest one: Tukey (1953),
    "The problem of multiple comparisons", with the bootstrap's range.
    """
    # One of the ranges, not interpolated: some may be infinite.
    place = int(np.ceil(CONFIDENCE * (len(ranges) + 1))) - 1
    return float(np.sort(ranges)[min(place, len(ranges) - 1)])


def _within(value: float, lower: float, upper: float) -> Estimate:
    """Return an estimate whose limits are clipped to [0, 1]."""
    return Estimate(value, float(np.clip(lower, 0, 1)), float(np.clip(upper, 0, 1)))
