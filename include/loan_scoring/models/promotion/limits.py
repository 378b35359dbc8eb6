"""Say which limits of the contract a challenger's rates leave, compared with the champion's."""

from loan_scoring.contract.promotion_policies import ChallengerLimits
from loan_scoring.statistics.paired import PairedRates, beyond


def limits_left(limits: ChallengerLimits, rates: PairedRates) -> list[str]:
    """Return a sentence for each limit of `promotion.challenger_limits` that is left.

    A limit is left if the 95 % interval of the paired difference lies beyond it.

    Args:
        limits: `promotion.challenger_limits`.
        rates: rates of both models on the same loans.
    """
    found = []
    for name, own, theirs, interval, limit in (
        (
            "approval rate",
            rates.approval_rate,
            rates.champion_approval_rate,
            rates.approval_interval,
            limits.approval_rate,
        ),
        (
            "mean probability of default",
            rates.mean_probability,
            rates.champion_mean_probability,
            rates.probability_interval,
            limits.mean_probability,
        ),
    ):
        if beyond(interval, limit):
            assert interval is not None  # noqa: S101 - no interval is beyond no limit
            found.append(
                f"{name} {own:.1%}, the champion's {theirs:.1%} on the same {rates.loans:,} loans: "
                f"the 95 % interval of the difference, {interval[0]:+.1%} to {interval[1]:+.1%}, "
                f"lies beyond {limit:.1%}"
            )
    return found
