"""Cut-offs and swap sets against direct counts, and their money against the contract."""

from dataclasses import asdict

import numpy as np
import pytest

from loan_scoring.contract import Contract
from loan_scoring.models.cutoffs import cutoffs, exchanged
from loan_scoring.statistics.cutoffs import (
    approved_below,
    cells_of,
    swap_sets,
    threshold_grid,
)


@pytest.fixture
def loans() -> dict[str, np.ndarray]:
    dice = np.random.default_rng(5)
    p = dice.beta(1, 5, 3000).round(3)
    other = np.clip(p + dice.normal(0, 0.05, 3000), 0, 1).round(3)
    amount = np.where(dice.random(3000) < 0.05, np.nan, dice.lognormal(10, 1, 3000))
    return {"y": (dice.random(3000) < p).astype(int), "p": p, "other": other, "amount": amount}


def test_each_threshold_approves_the_loans_below_it(loans: dict[str, np.ndarray]) -> None:
    y, p, amount = loans["y"], loans["p"], loans["amount"]
    grid = threshold_grid(p, [0.17, 0.333])
    assert {0.17, 0.333} <= set(grid)
    found = approved_below(y, p, grid, amount)
    for each in found[::7]:
        below = p < each.threshold
        known = below & np.isfinite(amount)
        assert (each.loans, each.defaults) == (below.sum(), y[below].sum())
        assert each.expected_defaults == pytest.approx(p[below].sum())
        assert each.amount == pytest.approx(amount[known].sum())
        assert each.defaulted_amount == pytest.approx((amount * y)[known].sum())
        assert each.expected_defaulted_amount == pytest.approx((amount * p)[known].sum())


def test_grid_is_finer_where_few_loans_default() -> None:
    p = np.linspace(0, 0.04, 500)
    assert threshold_grid(p, [])[:2] == [0.0005, 0.001]
    assert len(threshold_grid(p, [0.02])) == 100


def test_money_is_that_of_the_contract_as_it_is_now(
    loan_default: Contract, loans: dict[str, np.ndarray]
) -> None:
    y, p, amount = loans["y"], loans["p"], np.nan_to_num(loans["amount"], nan=1.0)
    rows = [asdict(each) for each in approved_below(y, p, [0.2, 0.4], amount)]
    evaluation = {"cutoffs": {"loans": len(y), "rows": rows}}
    raw = loan_default.model_dump()
    raw["business"] |= {"loss_given_default": 0.5, "margin": 0.03}
    first = cutoffs(Contract.model_validate(raw), evaluation)[0]
    below = p < 0.2
    earned, lost = 0.03 * (amount * (1 - y))[below].sum(), 0.5 * (amount * y)[below].sum()
    assert (first.earned, first.loss) == (pytest.approx(earned), pytest.approx(lost))
    assert first.profit == pytest.approx(earned - lost)
    raw["business"] |= {"margin": None}
    assert cutoffs(Contract.model_validate(raw), evaluation)[0].profit is None
    raw["business"] = None
    assert cutoffs(Contract.model_validate(raw), evaluation)[0].loss is None
    assert cutoffs(loan_default, {"rows": 3}) == []


def test_swap_sets_reconcile_to_direct_counts(loans: dict[str, np.ndarray]) -> None:
    y, old, new = loans["y"], loans["p"], loans["other"]
    grid = threshold_grid(old, [0.17], 50)
    cells = cells_of(y, old, new, grid)
    for place, new_place in ((grid.index(0.17), grid.index(0.17)), (3, 20), (30, 8)):
        was, is_now = old < grid[place], new < grid[new_place]
        masks = {
            "both": was & is_now, "comes_in": ~was & is_now, "goes_out": was & ~is_now,
            "neither": ~was & ~is_now,
        }  # fmt: skip
        found = swap_sets(cells, place, new_place)
        for name, mask in masks.items():
            assert (found[name].loans, found[name].defaults) == (mask.sum(), y[mask].sum())
        assert sum(each.loans for each in found.values()) == len(y)
        assert sum(each.defaults for each in found.values()) == y.sum()


def test_two_thresholds_of_one_model_swap_the_loans_between(
    loan_default: Contract, loans: dict[str, np.ndarray]
) -> None:
    y, p = loans["y"], loans["p"]
    rows = [asdict(each) for each in approved_below(y, p, [0.2, 0.4])]
    low, high = cutoffs(loan_default, {"cutoffs": {"loans": len(y), "rows": rows}})
    between = (p >= 0.2) & (p < 0.4)
    found = exchanged(low, high)
    assert (found["comes_in"].loans, found["comes_in"].defaults) == (
        between.sum(), y[between].sum()
    )  # fmt: skip
    assert found["goes_out"].loans == 0
    back = exchanged(high, low)
    assert back["goes_out"] == found["comes_in"]
    assert back["comes_in"].loans == 0
