"""Alerts on quarantined rows: a hundred clean nights have none, one night of a new level has."""

from collections import Counter

import numpy as np
import pytest

from loan_scoring.contract import Contract
from loan_scoring.ingest.quality.great_expectations import ExpectationVerdict
from loan_scoring.ingest.quality.quarantine_shares import (
    RefusedRows,
    judge_quarantine,
    quarantine_message,
)

RULES = {
    "unknown_level:gender": 0.0002, "not_a_number:income_usd_per_month": 0.004,
    "out_of_range:ltv_percent": 0.0008, "known_key:loan_id": 0.003, "field_count": 0.00002,
    "null_key:loan_id": 0.0,
}  # fmt: skip
"""The rules that rows of clean nights break, and how often."""


def night(random: np.random.Generator, rows: int, variation: float) -> RefusedRows:
    size = int(random.normal(rows, rows / 10))
    shape = 1 / variation**2
    shares = {rule: share * random.gamma(shape, 1 / shape) for rule, share in RULES.items()}
    rules = {rule: int(random.binomial(size, share)) for rule, share in shares.items()}
    return RefusedRows(size, sum(rules.values()), {rule: n for rule, n in rules.items() if n})


def failed(verdicts: list[ExpectationVerdict]) -> list[str]:
    return [each.expectation.name for each in verdicts if not each.is_success]


def typing_errors(batch: RefusedRows) -> dict[str, Counter[str]]:
    return {"gender": Counter(f"e{n // 3}" for n in range(batch.count("unknown_level:gender")))}


@pytest.mark.parametrize("rows", [1_000, 20_000, 148_670])
@pytest.mark.parametrize("variation", [0.05, 0.3])
def test_hundred_clean_nights_raise_no_alert(
    loan_default: Contract, rows: int, variation: float
) -> None:
    random = np.random.default_rng(17)
    nights: list[RefusedRows] = []
    for _ in range(100):
        batch = night(random, rows, variation)
        verdicts = judge_quarantine(loan_default, batch, nights[-14:], typing_errors(batch))
        assert failed(verdicts) == []
        nights.append(batch)


@pytest.mark.parametrize("rows", [1_000, 20_000, 148_670])
@pytest.mark.parametrize("rule", RULES)
def test_one_night_of_one_rule_is_seen(loan_default: Contract, rows: int, rule: str) -> None:
    random = np.random.default_rng(18)
    nights = [night(random, rows, 0.3) for _ in range(14)]
    last = night(random, rows, 0.3)
    worse = dict(last.rules) | {rule: last.count(rule) + int(0.06 * rows)}
    batch = RefusedRows(last.received, sum(worse.values()), worse)
    verdicts = judge_quarantine(loan_default, batch, nights, typing_errors(last))
    assert failed(verdicts) == [f"quarantined:{rule}"]


def test_unknown_level_is_described_and_not_shown(loan_default: Contract) -> None:
    level = "<b>\x00\n\u202e" + "x" * 100
    rows, count = 148_670, 4_460
    nights = [RefusedRows(rows, 30, {"unknown_level:gender": 30})] * 14
    batch = RefusedRows(rows, count, {"unknown_level:gender": count})
    levels = {"gender": Counter({level: 4_400, "m": 50, "f": 9, "?": 1})}
    verdicts = judge_quarantine(loan_default, batch, nights, levels)
    (seen,) = [each for each in verdicts if not each.is_success]
    assert seen.expectation.subject == "unknown_level:gender"
    assert quarantine_message(loan_default, seen) == (
        "Gender (gender): the rule unknown_level put 4,460 of 148,670 rows (3%) into quarantine, "
        "usual are 0.02%: a text of 106 characters (letters, signs, invisible ones) in 4,400 rows, "
        "a text of 1 character (letters) in 50 rows, a text of 1 character (letters) in 9 rows, "
        "and 1 more"
    )


def test_level_in_more_than_few_rows_is_seen_in_a_small_share(loan_default: Contract) -> None:
    batch = RefusedRows(148_670, 8, {"unknown_level:gender": 8})
    for found, expected in (
        ({"x": 6, "y": 2}, ["quarantined:unknown_level:gender"]),
        ({"x": 5, "y": 3}, []),
    ):
        verdicts = judge_quarantine(loan_default, batch, [], {"gender": Counter(found)})
        assert failed(verdicts) == expected


def test_many_rules_together_are_seen_if_none_is_alone(loan_default: Contract) -> None:
    rules = {f"out_of_range:{name}": 12 for name in list(loan_default.by_name)[:20]}
    nights = [RefusedRows(20_000, 2, {"field_count": 2})] * 14
    verdicts = judge_quarantine(loan_default, RefusedRows(20_000, 240, rules), nights, {})
    assert failed(verdicts) == ["quarantined"]
    assert quarantine_message(loan_default, verdicts[-1]).startswith(
        "The batch: all rules together put 240 of 20,000 rows (1.2%) into quarantine, usual are"
    )


def test_first_nights_have_the_limits_of_the_contract_alone(loan_default: Contract) -> None:
    for rows, expected in ((200, []), (201, ["quarantined:field_count"])):
        batch = RefusedRows(20_000, rows, {"field_count": rows})
        assert failed(judge_quarantine(loan_default, batch, [], {})) == expected
    verdicts = judge_quarantine(loan_default, RefusedRows(50, 5, {"field_count": 5}), [], {})
    assert failed(verdicts) == []  # a handful
