"""Records of an outcomes file: states, dates and amounts as the contract declares them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loan_scoring.contract import Contract
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.outcome_rows import outcome_columns, parse_outcomes
from loan_scoring.ingest.parsing.dates import parse_dates
from loan_scoring.lab.outcome_files import outcome_file

COLUMNS = [
    {"source": "nr", "name": "loan_id", "label": "Nr", "type": "integer", "known": "application"},
    {"source": "amount", "name": "amount_eur", "label": "A", "type": "number",
     "known": "application"},
]  # fmt: skip


def lender(states: dict[str, Any] | None = None, /, **outcomes: Any) -> Contract:
    return Contract.model_validate(
        {
            "portfolio": "lender", "title": "t", "owner": "o", "columns": COLUMNS,
            "target": {"source": "status", "positive": ["1"], "negative": ["0"]} | (states or {}),
            "outcomes": outcomes, "business": {"amount": "amount_eur"},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
        }
    )  # fmt: skip


def parse(
    contract: Contract, path: Path, is_history: bool = False, block_bytes: int = 4 << 20
) -> tuple[list[dict[str, Any]], int]:
    """Return the records of a file without open loans, and the number of open loans."""
    columns = outcome_columns(contract, is_history=is_history)
    with open_table(
        path, columns.wanted, optional=columns.optional, file_format=columns.files,
        block_bytes=block_bytes,
    ) as table:  # fmt: skip
        found = list(parse_outcomes(contract, columns, table))
    return pa.concat_tables([rows for rows, _ in found]).to_pylist(), sum(n for _, n in found)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "told.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_numbers_are_compared_as_numbers_and_open_states_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "nr,status", "1,1.0", "2, 0 ", "3,Current", "4,", "5,2", "6,1e0")
    rows, is_open = parse(lender({"open": ["Current", ""]}), path)
    assert is_open == 2
    assert [(row["loan_id"], row["is_default"], row["rules"]) for row in rows] == [
        (1, True, "{}"), (2, False, "{}"), (5, None, '{"unknown_level:status"}'), (6, True, "{}"),
    ]  # fmt: skip
    rows, is_open = parse(lender(), path)
    assert (len(rows), is_open) == (6, 0)
    assert rows[2]["rules"] == '{"unknown_level:status"}'


def test_nothing_else_of_an_open_row_is_judged(tmp_path: Path) -> None:
    path = write(tmp_path, "nr,status,observed_on", ",Current,soon", "x,Current,2026-01-01")
    assert parse(lender({"open": ["Current"]}), path) == ([], 2)


def test_keys_targets_dates_and_amounts_have_columns_of_their_own(tmp_path: Path) -> None:
    contract = lender(
        key="id", target="state",
        observed_on={"source": "last", "format": ["%b-%Y", "%d.%m.%Y"]},
        recovered={"source": "back", "decimal": ",", "thousands": "."},
    )  # fmt: skip
    lines = [
        "id;state;last;back", "1;1;Sep-2016;1.234,50", "2;1;31.12.2016;", "3;1;;12,5",
        "4;1;31.02.2016;7.15", "5;0;Sep-2016;0", "6;1;2016-09-01;-3",
    ]  # fmt: skip
    rows, _ = parse(contract, write(tmp_path, *lines))
    shown = [(str(row["observed_on"]), row["recovered"], row["rules"]) for row in rows]
    assert shown == [
        ("2016-09-01", 1234.5, "{}"), ("2016-12-31", None, "{}"), ("None", 12.5, "{}"),
        ("None", None, '{"not_a_date:observed_on","not_a_number:recovered"}'),
        ("2016-09-01", None, "{}"), ("None", -3.0, '{"not_a_date:observed_on"}'),
    ]  # fmt: skip


def test_recovered_amounts_may_have_a_currency_sign(tmp_path: Path) -> None:
    contract = lender(recovered={"source": "back", "thousands": ",", "currency": "$"})
    lines = ["nr,status,back", '1,1,"$1,234.50"', "2,1,€5", "3,1,7"]
    rows, _ = parse(contract, write(tmp_path, *lines))
    assert [row["recovered"] for row in rows] == [1234.5, None, 7.0]
    assert rows[1]["rules"] == '{"not_a_number:recovered"}'


def test_files_of_outcomes_have_a_format_of_their_own(tmp_path: Path) -> None:
    contract = lender(
        key=3, target=1, header=False, delimiter="|", encoding="cp1252",
        observed_on={"source": 2, "format": "%d.%m.%Y"},
    )  # fmt: skip
    path = write(tmp_path, "1|31.01.2026|7|x", "0||8|y")
    rows, _ = parse(contract, path)
    assert [(r["loan_id"], r["is_default"], str(r["observed_on"]), r["rules"]) for r in rows] == [
        (7, True, "2026-01-31", "{}"), (8, False, "None", "{}"),
    ]  # fmt: skip
    path = write(tmp_path, "NR,STATUS", "1,1")
    assert parse(lender(ignore_case=True), path)[0][0]["loan_id"] == 1


def test_a_blank_date_is_refused_only_if_the_contract_declares_no_date(tmp_path: Path) -> None:
    path = write(tmp_path, "nr,status,observed_on", "1,1,")
    assert parse(lender(), path)[0][0]["rules"] == '{"not_a_date:observed_on"}'
    rows, _ = parse(lender(observed_on={"source": "observed_on"}), path)
    assert (rows[0]["rules"], rows[0]["observed_on"]) == ("{}", None)


def test_the_history_is_a_file_of_applications(tmp_path: Path) -> None:
    contract = lender(
        key="id", target="state", observed_on={"source": "last", "format": "%b-%Y"},
        recovered={"source": "back"},
    )  # fmt: skip
    path = write(tmp_path, "nr,status", "1,1", "2,0")
    rows, _ = parse(contract, path, is_history=True)
    assert [(row["is_default"], row["observed_on"]) for row in rows] == [
        (True, None),
        (False, None),
    ]
    path = write(tmp_path, "nr,status,back,last", "1,1,5,Sep-2016")
    (row,), _ = parse(contract, path, is_history=True)
    assert (str(row["observed_on"]), row["recovered"]) == ("2016-09-01", 5.0)


@pytest.mark.parametrize("day", [{"source": "last", "format": ["%d.%m.%Y", "%b-%Y"]}, None])
def test_replayed_outcomes_are_written_as_declared(tmp_path: Path, day: dict | None) -> None:
    declared = {"key": "id", "recovered": {"source": "back"}}
    contract = lender(**declared, observed_on=day)
    labels = pa.table({"nr": ["1", "2"], "status": ["1", "0"]})
    told = outcome_file(contract, labels, "2026-01-08")
    lines = [",".join(row.values()) for row in told.to_pylist()]
    rows, _ = parse(contract, write(tmp_path, ",".join(told.column_names), *lines))
    assert [(r["loan_id"], r["is_default"], str(r["observed_on"])) for r in rows] == [
        (1, True, "2026-01-08"), (2, False, "2026-01-08"),
    ]  # fmt: skip


def test_malformed_records_are_among_the_rows(tmp_path: Path) -> None:
    rows, is_open = parse(
        lender({"open": ["c"]}), write(tmp_path, "nr,status", "1,1,1", "2,c", "3,0")
    )
    assert is_open == 1
    assert {row["line_number"]: row["rules"] for row in rows} == {2: '{"field_count"}', 4: "{}"}


CELLS = st.tuples(
    st.sampled_from(["1", "2", "x", "", "1e1"]),
    st.sampled_from(["1", "1.0", "0", "00", "Current", "", "2", "é", "\u0661"]),
    st.sampled_from(["2026-01-02", "Sep-2016", "", "30.02.2026", "2026-13-01", " 2026-01-02"]),
    st.sampled_from(["", "1", "1,5", "1.234,5", "1.23", "x", "-1", "1e5"]),
)


@given(rows=st.lists(CELLS, min_size=1, max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_record_is_judged_by_itself(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    contract = lender(
        {"open": ["Current", ""]},
        observed_on={"source": "day", "format": ["%b-%Y", "%Y-%m-%d"]},
        recovered={"source": "back", "decimal": ",", "thousands": "."},
    )
    lines = [";".join(row) for row in rows]
    together, is_open = parse(contract, write(tmp_path, "nr;status;day;back", *lines))
    alone = [parse(contract, write(tmp_path, "nr;status;day;back", line)) for line in lines]
    assert is_open == sum(n for _, n in alone)
    found = [row | {"line_number": 0} for part, _ in alone for row in part]
    assert [row | {"line_number": 0} for row in together] == found


@pytest.mark.parametrize("text", ["2026-02-30", "1.1.2026", "Sep-16", "2026-01-01 00:00", ""])
def test_text_that_is_no_date_in_any_format_is_marked(text: str) -> None:
    values, wrong = parse_dates(pa.array(["2026-01-01", text, None]), ["%Y-%m-%d", "%b-%Y"])
    assert [str(value) for value in values.to_pylist()] == ["2026-01-01", "None", "None"]
    assert wrong.tolist() == [False, True, False]
