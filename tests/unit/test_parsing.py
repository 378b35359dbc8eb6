"""Rows of text become typed columns, or are rejected with every rule that they broke."""

from pathlib import Path

import pyarrow as pa
import pytest

from loan_scoring.contract import Contract
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.row_rules import RejectedRow, RowRules

CLEAN = {
    "ID": "1", "year": "2019", "loan_limit": "cf", "Gender": "Male", "approv_in_adv": "nopre",
    "loan_type": "type1", "loan_purpose": "p1", "Credit_Worthiness": "l1", "open_credit": "nopc",
    "business_or_commercial": "nob/c", "loan_amount": "116500", "rate_of_interest": "",
    "Interest_rate_spread": "", "Upfront_charges": "", "term": "360.0",
    "Neg_ammortization": "not_neg", "interest_only": "not_int", "lump_sum_payment": "not_lpsm",
    "property_value": "118000.0", "construction_type": "sb", "occupancy_type": "pr",
    "Secured_by": "home", "total_units": "1U", "income": "1740.0", "credit_type": "EXP",
    "Credit_Score": "758", "co-applicant_credit_type": "CIB", "age": "25-34",
    "submission_of_application": "to_inst", "LTV": "98.72881356", "Region": "south",
    "Security_Type": "direct", "dtir1": "",
}  # fmt: skip


def apply(
    contract: Contract, folder: Path, *rows: dict[str, str]
) -> tuple[pa.Table, list[RejectedRow]]:
    path = folder / "applications.csv"
    lines = [",".join(CLEAN), *(",".join((CLEAN | row).values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    with open_table(path, [column.source for column in contract.columns]) as table:
        (block,) = table
        return RowRules(contract).apply(block)


def test_clean_row_is_typed(loan_default: Contract, tmp_path: Path) -> None:
    accepted, rejected = apply(loan_default, tmp_path, {})
    assert rejected == []
    row = accepted.to_pylist()[0]
    assert row["line_number"] == 2
    assert row["loan_id"] == 1
    assert row["term_months"] == 360.0
    assert row["interest_rate_percent"] is None
    assert row["loan_limit"] == "cf"


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"income": "much"}, ["not_a_number:income_usd_per_month"]),
        ({"income": "nan"}, ["not_a_number:income_usd_per_month"]),
        ({"income": "inf"}, ["not_a_number:income_usd_per_month"]),
        ({"income": "1_000"}, ["not_a_number:income_usd_per_month"]),
        ({"Credit_Score": "0x2BC"}, ["not_a_number:credit_score"]),
        ({"income": "-60"}, ["out_of_range:income_usd_per_month"]),
        ({"Credit_Score": "758.5"}, ["not_a_number:credit_score"]),
        ({"Credit_Score": "901"}, ["out_of_range:credit_score"]),
        ({"ID": ""}, ["null_key:loan_id"]),
        ({"ID": "x"}, ["not_a_number:loan_id"]),
        ({"Gender": "male"}, ["unknown_level:gender"]),
        ({"LTV": "50"}, ["ltv_is_amount_over_value:ltv_percent"]),
        (
            {"income": "x", "Gender": "?", "ID": "0"},
            ["out_of_range:loan_id", "unknown_level:gender", "not_a_number:income_usd_per_month"],
        ),
    ],
)
def test_every_broken_rule_is_named(
    loan_default: Contract, tmp_path: Path, change: dict[str, str], rules: list[str]
) -> None:
    accepted, rejected = apply(loan_default, tmp_path, {"ID": "7"}, change, {"ID": "8"})
    assert accepted.column("loan_id").to_pylist() == [7, 8]
    assert [(each.line_number, each.rules) for each in rejected] == [(3, rules)]
    assert rejected[0].raw_text == ",".join((CLEAN | change).values())


def test_second_of_two_equal_keys_is_rejected(loan_default: Contract, tmp_path: Path) -> None:
    accepted, rejected = apply(loan_default, tmp_path, {}, {"ID": "2"}, {})
    assert accepted.column("loan_id").to_pylist() == [1, 2]
    assert [(each.line_number, each.rules) for each in rejected] == [(4, ["duplicate_key:loan_id"])]


def test_open_level_and_null_token_are_let_in(loan_default: Contract, tmp_path: Path) -> None:
    change = {"loan_purpose": "p9", "submission_of_application": "NA"}
    accepted, rejected = apply(loan_default, tmp_path, change)
    assert rejected == []
    assert accepted.column("loan_purpose").to_pylist() == ["p9"]
    assert accepted.column("submission").to_pylist() == [None]


def test_numbers_may_be_written_in_many_ways(loan_default: Contract, tmp_path: Path) -> None:
    rows = [
        {"ID": str(n), "income": text} for n, text in enumerate(["1e3", " 60 ", "+7.", ".5"], 1)
    ]
    accepted, rejected = apply(loan_default, tmp_path, *rows, {"ID": "9", "income": "bad"})
    assert accepted.column("income_usd_per_month").to_pylist() == [1000.0, 60.0, 7.0, 0.5]
    assert len(rejected) == 1
