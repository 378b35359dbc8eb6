"""Fairness of a batch: how far the groups of a protected attribute are apart, with intervals.

Definitions are those of fairlearn, which tests hold these against; its own functions go through
pandas for each resample, and an interval takes hundreds.
"""

from dataclasses import dataclass

import numpy as np

from loan_scoring.intervals import CONFIDENCE
from loan_scoring.performance.estimated import Estimate

BY_APPROVAL = ("demographic_parity_difference", "demographic_parity_ratio")
BY_OUTCOME = ("equal_opportunity_difference", "equalized_odds_difference")
"""Known once outcomes are in."""


@dataclass(frozen=True)
class Counts:
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


def count(values: np.ndarray, groups: list[str], approved: np.ndarray) -> Counts:
    """Count loans and approvals of each of the groups.

    Args:
        values: the group of each row, shape (rows,).
        groups: those to be compared; rows of others are left out.
        approved: whether each row is approved, shape (rows,), bool.
    """
    of = [values == group for group in groups]
    return Counts(
        np.array([mask.sum() for mask in of]), np.array([approved[mask].sum() for mask in of])
    )


def parity(all_loans: Counts, resamples: int, seed: int) -> dict[str, Estimate]:
    """Return demographic parity difference and ratio of approval.

    The highest approval rate of a group less the lowest, and the lowest over the highest: Agarwal
    et al. (2018), "A reductions approach to fair classification"; the ratio is the four-fifths
    rule's, 29 CFR 1607.4 D.
    """
    rates = all_loans.rates()
    drawn = all_loans.resampled(resamples, np.random.default_rng(seed))
    return {
        "demographic_parity_difference": _estimate(_difference(rates), _difference(drawn)),
        "demographic_parity_ratio": _estimate(_ratio(rates), _ratio(drawn)),
    }


def odds(paid: Counts, defaulted: Counts, resamples: int, seed: int) -> dict[str, Estimate]:
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
    of_paid, of_defaulted = _difference(paid.rates()), _difference(defaulted.rates())
    drawn_paid = _difference(paid.resampled(resamples, dice))
    drawn_defaulted = _difference(defaulted.resampled(resamples, dice))
    return {
        "equal_opportunity_difference": _estimate(of_paid, drawn_paid),
        "equalized_odds_difference": _estimate(
            np.maximum(of_paid, of_defaulted), np.maximum(drawn_paid, drawn_defaulted)
        ),
    }


def _difference(rates: np.ndarray) -> np.ndarray:
    return np.asarray(rates.max(axis=-1) - rates.min(axis=-1))


def _ratio(rates: np.ndarray) -> np.ndarray:
    """Return the lowest over the highest; 1 where nobody is approved: nobody is approved less."""
    highest = rates.max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(highest > 0, rates.min(axis=-1) / highest, 1.0))


def _estimate(value: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Return the value with the basic bootstrap interval, cut to [0, 1].

    The largest of noisy differences is larger than the true one, and that of resamples larger
    still: percentiles of them would miss groups that are treated alike. The basic interval mirrors
    them at the value (Davison, Hinkley 1997, "Bootstrap methods and their application", 5.2).
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], method="weibull")
    mirrored = np.clip([2 * value - high, 2 * value - low], 0, 1)
    return Estimate(float(value), float(mirrored[0]), float(mirrored[1]))
