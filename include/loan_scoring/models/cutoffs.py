"""Read what thresholds would approve, from the evaluation of a model and from comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.statistics.cutoffs import SwapSet, swap_set, swap_sets
from loan_scoring.statistics.intervals import wilson


@dataclass(frozen=True)
class Cutoff:
    """What a threshold approves on the hold-out of a model.

    `default_rate` is that of the approved loans, with its 95 % interval (Wilson). It is None if
    nothing is approved. Money is in the unit of the amount: `expected_loss` by the probabilities,
    `loss` and `earned` by the outcomes, and `profit` their difference. Money is None if the
    contract or the model lacks what is needed.
    """

    threshold: float
    approved: int
    approval_rate: float
    defaults: int
    default_rate: float | None
    lower: float | None
    upper: float | None
    expected_default_rate: float | None
    expected_loss: float | None
    loss: float | None
    earned: float | None
    profit: float | None


def cutoffs(contract: Contract, evaluation: Mapping[str, Any] | None) -> list[Cutoff]:
    """Return a row for each threshold of the grid, in ascending order.

    Loss given default and margin are those of the contract as it is now. The list is empty if the
    model was registered before cut-offs were recorded.

    Args:
        contract: contract of the portfolio.
        evaluation: evaluation of the propensity model.
    """
    recorded = (evaluation or {}).get("cutoffs")
    if recorded is None:
        return []
    return [_cutoff(contract, recorded["loans"], row) for row in recorded["rows"]]


def _cutoff(contract: Contract, loans: int, row: Mapping[str, Any]) -> Cutoff:
    approved, defaults = row["loans"], row["defaults"]
    low, high = wilson(defaults, approved) if approved else (None, None)
    expected_loss = loss = earned = profit = None
    if contract.business is not None and row["amount"] is not None:
        lost, margin = contract.business.loss_given_default, contract.business.margin
        expected_loss = row["expected_defaulted_amount"] * lost
        loss = row["defaulted_amount"] * lost
        if margin is not None:
            earned = (row["amount"] - row["defaulted_amount"]) * margin
            profit = earned - loss
    return Cutoff(
        row["threshold"],
        approved,
        approved / loans,
        defaults,
        defaults / approved if approved else None,
        low,
        high,
        row["expected_defaults"] / approved if approved else None,
        expected_loss,
        loss,
        earned,
        profit,
    )


def exchanged(one: Cutoff, other: Cutoff) -> dict[str, SwapSet]:
    """Return who comes in and who goes out if the threshold `other` replaces `one`."""
    loans, defaults = other.approved - one.approved, other.defaults - one.defaults
    return {
        "comes_in": swap_set(loans, defaults) if loans > 0 else swap_set(0, 0),
        "goes_out": swap_set(-loans, -defaults) if loans < 0 else swap_set(0, 0),
    }


def nearest(rows: Sequence[Cutoff], threshold: float) -> Cutoff:
    """Return the row whose threshold is nearest to a given one."""
    return min(rows, key=lambda row: abs(row.threshold - threshold))


def read_comparison(
    session: Session, version: str, other: str | None = None
) -> database.Row | None:
    """Return the last comparison of a model with a champion, or of two models in either role.

    Return None if the gates compared them never, or before comparisons were recorded.
    """
    return database.row(session.connection, "select_model_comparison", version=version, other=other)


def swapped(comparison: database.Row, threshold: float, new: float) -> dict[str, SwapSet]:
    """Return the swap sets of a comparison, for the champion's and the challenger's threshold.

    Raises:
        StateError: a threshold is not on the grid of the comparison.
    """
    grid = comparison["cells"]["thresholds"]
    for each in (threshold, new):
        if each not in grid:
            raise StateError(f"{each:g} is not on the grid; use one of {_listed(grid)}")
    cells = comparison["cells"]["cells"]
    return swap_sets(cells, grid.index(threshold), grid.index(new))


def _listed(grid: Sequence[float]) -> str:
    return ", ".join(f"{each:g}" for each in grid)


def swaps_as_json(sets: Mapping[str, SwapSet]) -> dict[str, dict[str, Any]]:
    """Return swap sets as dictionaries."""
    return {name: asdict(each) for name, each in sets.items()}
