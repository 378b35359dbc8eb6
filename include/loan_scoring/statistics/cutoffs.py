"""Count what a threshold approves, and which loans two thresholds or two models swap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from loan_scoring.statistics.intervals import wilson

STEPS = 100
NICE = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01)
REACH = 0.995
"""The grid reaches at least this quantile of the probabilities."""


def threshold_grid(
    probability: np.ndarray, thresholds: Iterable[float], steps: int = STEPS
) -> list[float]:
    """Return thresholds at even steps up to nearly the highest probability, with the given ones.

    There are about `steps` thresholds. A portfolio with few defaults gets smaller steps.

    Args:
        probability: predicted probabilities, shape (rows,).
        thresholds: thresholds that the grid must contain, such as those of the policy.
        steps: number of steps.
    """
    top = float(np.quantile(probability, REACH))
    step = next((e for e in NICE if e * STEPS >= top), NICE[-1]) * STEPS / steps
    grid = {round(k * step, 10) for k in range(1, steps + 1) if k * step < 1}
    return sorted(grid | set(thresholds))


@dataclass(frozen=True)
class Approved:
    """Counts and sums of the loans below a threshold.

    `expected_defaults` is the sum of their probabilities. Amounts are sums over these loans:
    `amount`, of those that defaulted `defaulted_amount`, and `expected_defaulted_amount` with each
    amount times its probability. They are None if no amount is known.
    """

    threshold: float
    loans: int
    defaults: int
    expected_defaults: float
    amount: float | None = None
    defaulted_amount: float | None = None
    expected_defaulted_amount: float | None = None


def approved_below(
    y: np.ndarray,
    probability: np.ndarray,
    thresholds: Sequence[float],
    amount: np.ndarray | None = None,
    expected: np.ndarray | None = None,
) -> list[Approved]:
    """Return what each threshold approves. A loan is approved if its probability is below it.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        thresholds: thresholds in ascending order.
        amount: amount of each loan, nan if it is not known, shape (rows,). A loan whose amount is
            not known adds nothing to the sums of amounts.
        expected: probabilities with which the loans are expected to default, shape (rows,). None
            means `probability`.
    """
    expected = probability if expected is None else expected
    order = np.argsort(probability, kind="stable")
    ends = np.searchsorted(probability[order], thresholds, side="left")

    def sums(values: np.ndarray) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(values[order])])[ends]

    found = [sums(np.ones(len(y), dtype=int)), sums(y.astype(int)), sums(expected)]
    if amount is not None and np.isfinite(amount).any():
        known = np.nan_to_num(amount)
        found += [sums(known), sums(known * y), sums(known * expected)]
    rows = zip(*(each.tolist() for each in found), strict=True)
    return [Approved(float(t), *row) for t, row in zip(thresholds, rows, strict=True)]


def cells_of(
    y: np.ndarray, champion: np.ndarray, challenger: np.ndarray, thresholds: Sequence[float]
) -> list[list[int]]:
    """Return the loans by the places of two models' probabilities on one grid of thresholds.

    A cell is [champion's place, challenger's place, loans, defaults]. Place k means that the
    probability is at or above k of the thresholds. Empty cells are left out.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        champion: probabilities by one model, shape (rows,).
        challenger: probabilities by the other model for the same loans, shape (rows,).
        thresholds: thresholds in ascending order.
    """
    first, second = (
        np.searchsorted(thresholds, each, side="right") for each in (champion, challenger)
    )
    cell = first * (len(thresholds) + 1) + second
    places, index = np.unique(cell, return_inverse=True)
    loans, defaults = np.bincount(index), np.bincount(index, weights=y).astype(int)
    return [
        [*divmod(int(place), len(thresholds) + 1), int(n), int(d)]
        for place, n, d in zip(places, loans, defaults, strict=True)
    ]


@dataclass(frozen=True)
class SwapSet:
    """Loans that two rules treat alike or differently, with the default rate and its interval.

    The rate and the limits of its 95 % interval (Wilson) are None without loans.
    """

    loans: int
    defaults: int
    default_rate: float | None
    lower: float | None
    upper: float | None


def swap_set(loans: int, defaults: int) -> SwapSet:
    """Return a swap set with its default rate."""
    if not loans:
        return SwapSet(0, 0, None, None, None)
    return SwapSet(loans, defaults, defaults / loans, *wilson(defaults, loans))


def swap_sets(cells: Sequence[Sequence[int]], place: int, new_place: int) -> dict[str, SwapSet]:
    """Return who is approved by both models, by the new one only, by the old one only, by neither.

    The sets are `both`, `comes_in`, `goes_out` and `neither`. Every loan is in one of them.

    Args:
        cells: cells from `cells_of`, with the old model as champion.
        place: place of the old model's threshold in the grid, from 0. Loans below it are approved.
        new_place: place of the new model's threshold.
    """
    counts = {name: [0, 0] for name in ("both", "comes_in", "goes_out", "neither")}
    for old, new, loans, defaults in cells:
        was, is_now = old <= place, new <= new_place
        name = ("both" if was else "comes_in") if is_now else ("goes_out" if was else "neither")
        counts[name][0] += loans
        counts[name][1] += defaults
    return {name: swap_set(*each) for name, each in counts.items()}
