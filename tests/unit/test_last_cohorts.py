"""The last cohorts and old loans of the hold-out: who is learnt from, and who is measured."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.models.holdout import holdout_members, holdout_policy, members
from loan_scoring.models.out_of_time import (
    cut_out_of_time,
    describe_out_of_time,
    describe_vintages,
    vintage_names,
)

DAYS = np.repeat(np.arange("2026-01-01", "2026-01-11", dtype="datetime64[D]"), 200)
Y = (np.arange(len(DAYS)) % 4 == 0).astype(int)
UNKNOWN = np.full(len(DAYS), np.datetime64("NaT", "D"))


def with_training(contract: Contract, **changes: Any) -> Contract:
    raw = contract.model_dump()
    raw["training"] |= changes
    return Contract.model_validate(raw)


@pytest.mark.parametrize(
    ("declared", "first"),
    [
        ({"share": 0.25}, "2026-01-08"),
        ({"batches": 2}, "2026-01-09"),
        ({"days": 4}, "2026-01-07"),
    ],
)
def test_last_cohorts_are_cut_off_whole(
    loan_default: Contract, declared: dict[str, Any], first: str
) -> None:
    contract = with_training(loan_default, out_of_time=declared)
    found = cut_out_of_time(contract, DAYS, Y)
    assert str(found.first) == first
    assert found.members(DAYS).tolist() == (np.datetime64(first) <= DAYS).tolist()
    # Loans of history without a date are older than any.
    mixed = np.concatenate([UNKNOWN[:600], DAYS[600:]])
    assert not cut_out_of_time(contract, mixed, Y).members(mixed)[:600].any()


def test_reason_is_given_where_there_is_no_last_cohort(loan_default: Contract) -> None:
    last = with_training(loan_default, out_of_time={"batches": 1})
    for contract, days, y, since, said in (
        (loan_default, DAYS, Y, None, "declares no training.out_of_time"),
        (last, UNKNOWN, Y, None, "no loan has a date"),
        (last, DAYS, Y, "2026-01-07", "since the change of 2026-01-07"),
        (last, DAYS[:200], Y[:200], None, "all loans are of the last cohorts"),
        (last, DAYS, Y * (DAYS[-1] > DAYS), None, "have 0 defaults"),
    ):
        found = cut_out_of_time(contract, days, y, since)
        assert found.first is None
        assert said in (found.reason or "")
        assert not found.members(days).any()


def test_exactly_one_way_to_cut_is_declared(loan_default: Contract) -> None:
    for declared in ({}, {"share": 0.2, "days": 3}):
        with pytest.raises(ValueError, match="exactly one of share, batches and days"):
            with_training(loan_default, out_of_time=declared)


def test_old_loans_leave_the_holdout_and_never_come_back(loan_default: Contract) -> None:
    contract = with_training(loan_default, holdout_days=30)
    ids = pa.chunked_array([pa.array(range(3000))])
    days = np.datetime64("2025-11-01") + np.arange(3000) % 90
    by_hash = holdout_members(ids, contract.training.seed, contract.training.holdout_share)
    learnt_before = np.zeros(3000, dtype=bool)
    for until in ("2025-12-15", "2025-12-31", "2026-01-29"):
        known = days <= np.datetime64(until)
        policy = holdout_policy(contract, days[known])
        held = members(policy, ids, days)
        age = np.datetime64(until) - days
        assert held.tolist() == (by_hash & (age < np.timedelta64(30, "D"))).tolist()
        assert not (held & learnt_before).any()
        learnt_before |= known & ~held
    assert holdout_policy(contract, UNKNOWN) == holdout_policy(loan_default, DAYS)
    assert members(policy, ids, UNKNOWN[:1].repeat(3000)).tolist() == by_hash.tolist()


def test_cohorts_are_shown_by_day_month_quarter_or_year() -> None:
    assert vintage_names(DAYS)[0] == "2026-01-01"
    for length, name in ((100, "2020-01"), (900, "2020-Q1"), (4000, "2020")):
        days = np.datetime64("2020-01-01") + np.arange(length)
        assert vintage_names(days)[0] == name


def test_vintages_reconcile_to_all_loans() -> None:
    days = np.concatenate([UNKNOWN[:300], DAYS[300:]])
    probability = np.where(Y == 1, 0.4, 0.2) + np.linspace(0, 0.1, len(Y))
    found = describe_vintages(days, days >= np.datetime64("2026-01-09"), Y, probability)
    assert sum(each["loans"] for each in found) == len(Y)
    assert sum(each["loans"] * each["default_rate"] for each in found) == pytest.approx(Y.sum())
    assert [each["cohort"] for each in found][:2] == [None, "2026-01-02"]
    assert [each["is_out_of_time"] for each in found][-3:] == [False, True, True]
    assert found[1]["auc"] is None  # 100 loans with 25 defaults
    assert found[2]["auc"] == 1.0


def test_figures_out_of_time_are_those_of_the_loans() -> None:
    dice = np.random.default_rng(1)
    probability = dice.uniform(0.05, 0.4, 4000)
    y = (dice.random(4000) < probability).astype(int)
    found = describe_out_of_time(y, probability, dice.uniform(0.05, 0.4, 8000))
    low, high = found["auc_interval"]
    assert low < found["auc"] < high
    assert found["mean_probability"] == pytest.approx(probability.mean())
    assert found["calibration"]["slope"] == pytest.approx(1, abs=0.2)
    assert found["psi"] < 0.01
