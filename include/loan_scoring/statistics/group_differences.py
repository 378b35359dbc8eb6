"""Fairness of a batch: how far the groups of a protected attribute are apart, with intervals.

Definitions are those of fairlearn, which tests hold these against; its own functions go through
pandas for each resample, and an interval takes hundreds.
"""

from dataclasses import dataclass

import numpy as np

from loan_scoring.statistics.intervals import CONFIDENCE, Estimate


@dataclass(frozen=True)
class GroupCounts:
    """Loans and approvals of one kind by group, shape (groups,) each."""

    loans: np.ndarray
    approved: np.ndarray

    def rates(self) -> np.ndarray:
        """Return the share that is approved, nan in a group without such a loan."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.approved / self.loans)

    def resampled(self, resamples: int, dice: np.random.Generator) -> np.ndarray:
        """Return the rates of bootstrap resamples within each group, shape (resamples, groups).

        Of n loans drawn with replacement, of which a share r was approved, Binomial(n, r) were:
        the draw of the count is the bootstrap itself (Efron 1979), without the loans.
        """
        rates = self.rates()
        drawn = dice.binomial(self.loans, np.nan_to_num(rates), (resamples, len(rates)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(np.isnan(rates), np.nan, drawn / self.loans))


def count_by_group(values: np.ndarray, groups: list[str], approved: np.ndarray) -> GroupCounts:
    """Count loans and approvals of each of the groups.

    Args:
        values: the group of each row, shape (rows,).
        groups: those to be compared; rows of others are left out.
        approved: whether each row is approved, shape (rows,), bool.
    """
    of = [values == group for group in groups]
    return GroupCounts(
        np.array([mask.sum() for mask in of]), np.array([approved[mask].sum() for mask in of])
    )


def demographic_parity(all_loans: GroupCounts, resamples: int, seed: int) -> dict[str, Estimate]:
    """Return demographic parity difference and ratio of approval.

    The highest approval rate of a group less the lowest, and the lowest over the highest: Agarwal
    et al. (2018), "A reductions approach to fair classification"; the ratio is the four-fifths
    rule's, 29 CFR 1607.4 D.
    """
    rates = all_loans.rates()
    drawn = all_loans.resampled(resamples, np.random.default_rng(seed))
    difference, reach = _difference(rates), _reach(_range(drawn - rates))
    ratio = float(_ratio(rates))
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = _range(np.log(drawn / rates))
    # Nobody approved in a resample: the ratio may be anything, up to 1.
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
    """Return equal opportunity and equalized odds difference of approval; none without outcomes.

    To be approved is the good that is dealt out, so that a loan that is paid is the positive class:
    equal opportunity is how far groups are apart in the approval of those who pay, equalized odds
    the larger of that and the same among those who default. Hardt, Price, Srebro (2016),
    "Equality of opportunity in supervised learning".

    Args:
        paid, defaulted: loans of each outcome, of the same groups in the same order.
    """
    if not (paid.loans.all() and defaulted.loans.all()):
        return {}
    dice = np.random.default_rng(seed)
    drawn = [(each.rates(), each.resampled(resamples, dice)) for each in (paid, defaulted)]
    opportunity, other = (_difference(rates) for rates, _ in drawn)
    ranges = [_range(resampled - rates) for rates, resampled in drawn]
    reach, of_both = _reach(ranges[0]), _reach(np.maximum(*ranges))
    larger = max(opportunity, other)
    return {
        "equal_opportunity_difference": _within(
            opportunity, opportunity - reach, opportunity + reach
        ),
        "equalized_odds_difference": _within(larger, larger - of_both, larger + of_both),
    }


def _difference(rates: np.ndarray) -> float:
    return float(rates.max() - rates.min())


def _ratio(rates: np.ndarray) -> float:
    """Return the lowest over the highest; 1 where nobody is approved: nobody is approved less."""
    return float(rates.min() / rates.max()) if rates.max() > 0 else 1.0


def _range(deviations: np.ndarray) -> np.ndarray:
    """Return how far groups may be further apart than they are, by resample, shape (resamples,)."""
    return np.asarray(deviations.max(axis=-1) - deviations.min(axis=-1))


def _reach(ranges: np.ndarray) -> float:
    """Return what all differences of two groups together stay within at the rate of CONFIDENCE.

    The largest of several noisy differences is above the true one, and that of resamples higher
    still: their percentiles never cover groups that are treated alike. No difference of two groups
    is off by more than the range of the groups' errors, and so neither is the largest: the idea of
    Tukey (1953), "The problem of multiple comparisons", with the bootstrap's range.
    """
    # Of the ranges themselves: between one that is infinite and its neighbour lies none.
    place = int(np.ceil(CONFIDENCE * (len(ranges) + 1))) - 1
    return float(np.sort(ranges)[min(place, len(ranges) - 1)])


def _within(value: float, lower: float, upper: float) -> Estimate:
    """Return an estimate whose limits are cut to [0, 1]."""
    return Estimate(value, float(np.clip(lower, 0, 1)), float(np.clip(upper, 0, 1)))
