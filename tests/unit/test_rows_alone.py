"""A row is judged by itself: other rows change neither its verdict nor its values."""

import csv
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loan_scoring.contract import Contract
from loan_scoring.errors import InputError
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.scoring.fields import typed_applications

Verdict = tuple[list[Any], list[str]]
"""The values of an accepted row, or the rules that a refused row broke."""


def contract(key: str = "integer", tokens: tuple[str, ...] = ("-999", "9999999", "NA")) -> Contract:
    def column(name: str, type_: str, **fields: Any) -> dict[str, Any]:
        common = {"source": name, "name": name, "label": name, "known": "application"}
        return common | {"type": type_, "null_tokens": tokens} | fields

    return Contract.model_validate(
        {
            "portfolio": "alone", "title": "t", "owner": "o",
            "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
            "columns": [
                column("loan_id", key, null_tokens=["0"]),
                column("amount", "number"),
                column("rate", "number", range=[-5, 1e12]),
                column("months", "integer"),
                column("score", "integer", range=[0, 2.0**62]),
                column("job", "category", levels=["fixed", "1e3"]),
            ],
            "ratios": [
                {"name": "parts", "column": "rate", "numerator": "amount", "denominator": "months",
                 "tolerance": 0.5}
            ],
        }
    )  # fmt: skip


NAMES = ("loan_id", "amount", "rate", "months", "score", "job")
numbers = st.one_of(
    st.integers(-(2**63), 2**64).map(str),
    st.integers(0, 400).map(lambda digits: "9" * digits),
    st.floats().map(repr),
    st.floats(-1e6, 1e6).map(lambda value: f"{value:.2f}"),
    st.integers(0, 10**6).map(lambda value: f"{value}.0"),
    st.tuples(st.integers(0, 99), st.integers(-5, 500)).map(lambda pair: f"{pair[0]}e{pair[1]:+}"),
    st.integers(0, 10**12).map(lambda value: f"{value:.5E}"),
)
odd = st.sampled_from(
    ["", " ", "\t", "\u00a0", "NA", " NA", "-999", "-999.0", "-9.99e2", "9.999999E+06", "9999999",
     "inf", "-inf", "nan", "NaN", "Infinity", "nan(1)", "1e400", "-1e400", "1e-400",
     "1e99999999999",
     "1e99999999999999999999", "0x10", "0X1F", "x", "+7", "+7.", ".5", "-.5", "007", "-0", "1_000",
     "1 000", "1,5", "--1", "1e", "e5", "9223372036854775807", "9223372036854775808",
     "-9223372036854775808", "-9223372036854775809", "9223372036854775807.000",
     "9007199254740993", "18014398509481985.0", "0.9999999999999999999", "fixed", "1e3", "true",
     "\uff18", "\u0663"]
)  # fmt: skip
cells = st.one_of(numbers, odd, st.text("0123456789+-.eExX ", max_size=8))
rows = st.lists(
    st.lists(cells, min_size=len(NAMES), max_size=len(NAMES)),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[0].strip(),
)


def judged(by: Contract, blocks: Any) -> dict[int, Verdict]:
    """Return the verdict on each row by its place, which is its line number."""
    rules, found = RowRules(by), {}
    for block in blocks:
        accepted, rejected = rules.apply(block)
        for row in accepted.to_pylist():
            line_number = row.pop("line_number")
            found[line_number] = (list(row.values()), [])
        for each in rejected:
            found[each.line_number] = ([], each.rules)
    return found


def of_csv(
    by: Contract, given_rows: list[list[str]], path: Path, block_bytes: int = 1 << 20
) -> list[Verdict]:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([NAMES, *given_rows])
    path.write_text(text.getvalue())
    with open_table(path, NAMES, block_bytes=block_bytes) as table:
        found = judged(by, table)
    return [found[place] for place in range(2, len(given_rows) + 2)]


def of_json(by: Contract, given_rows: list[list[str]]) -> list[Verdict]:
    given_rows = [dict(zip(NAMES, row, strict=True)) for row in given_rows]  # type: ignore[misc]
    try:
        accepted = typed_applications(by, given_rows)  # type: ignore[arg-type]
    except InputError as error:
        broken: dict[int, list[str]] = {}
        for each in error.faults:
            broken.setdefault(each.row, []).append(f"{each.rule}:{each.field}")
        return [([], broken.get(row, [])) for row in range(len(given_rows))]
    return [(list(row.values())[1:], []) for row in accepted.to_pylist()]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone") / "rows.csv"


@settings(max_examples=200, deadline=None)
@given(
    mine=rows, others=rows, key=st.sampled_from(["integer", "text"]),
    block_bytes=st.integers(1, 999), order=st.randoms(use_true_random=False),
)  # fmt: skip
def test_other_rows_change_neither_verdict_nor_value(
    file: Path,
    mine: list[list[str]],
    others: list[list[str]],
    key: str,
    block_bytes: int,
    order: random.Random,
) -> None:
    by = contract(key)
    alone = [of_csv(by, [row], file)[0] for row in mine]
    for value in (value for values, _ in alone for value in values):
        assert value is None or isinstance(value, str) or np.isfinite(value)
    together = [*enumerate(mine), *((-1, row) for row in others)]
    order.shuffle(together)
    verdicts = of_csv(by, [row for _, row in together], file, block_bytes)
    for (place, _), (values, rules) in zip(together, verdicts, strict=True):
        if place < 0:
            continue
        if "duplicate_key:loan_id" in rules:  # the one rule that is about the rows before
            rules.remove("duplicate_key:loan_id")
            assert rules == alone[place][1]
        else:
            assert (values, rules) == alone[place]


@settings(max_examples=100, deadline=None)
@given(given_rows=rows, key=st.sampled_from(["integer", "text"]))
def test_json_is_judged_as_a_file_is(file: Path, given_rows: list[list[str]], key: str) -> None:
    by = contract(key)
    of_file, of_request = of_csv(by, given_rows, file), of_json(by, given_rows)
    assert [sorted(rules) for _, rules in of_request] == [sorted(rules) for _, rules in of_file]
    if not any(rules for _, rules in of_file):
        assert of_request == of_file


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats() | st.integers(-(2**53), 2**53).map(float), min_size=1))
def test_float_of_parquet_keeps_its_value(file: Path, values: list[float]) -> None:
    columns = {name: pa.array([""] * len(values)) for name in NAMES}
    columns |= {"loan_id": pa.array(range(1, len(values) + 1)), "amount": pa.array(values)}
    pq.write_table(pa.table(columns), file.with_suffix(".parquet"))
    with open_table(file.with_suffix(".parquet"), NAMES) as table:
        found = judged(contract(tokens=()), table)
    for value, (_, (accepted, rules)) in zip(values, sorted(found.items()), strict=True):
        assert accepted[1:2] == [value] if np.isfinite(value) else rules == ["not_a_number:amount"]


@pytest.mark.parametrize(
    ("text", "number", "integer"),
    [
        ("9223372036854775807", 2.0**63, 2**63 - 1),
        ("9223372036854775807.00", 2.0**63, 2**63 - 1),
        ("9223372036854775808", 2.0**63, "refused"),
        ("-9223372036854775808", -(2.0**63), -(2**63)),
        ("9007199254740993", 2.0**53, 2**53 + 1),
        ("+0012.0", 12.0, 12),
        ("1.2e3", 1200.0, 1200),
        ("0.9999999999999999999", 1.0, "refused"),
        ("1e400", "refused", "refused"),
        ("1e99999999999999999999", "refused", "refused"),
        ("1e-400", 0.0, "refused"),
        ("nan", "refused", "refused"),
        ("-inf", "refused", "refused"),
        ("0x10", "refused", "refused"),
        ("1_000", "refused", "refused"),
        (" \u00a05 ", 5.0, 5),
        (" ", None, None),
        ("-999", None, None),
        ("-999.0", None, None),
        (" -9.99E+02", None, None),
        ("9.999999E+06", None, None),
        (" NA", None, None),
        ("99.50", None, None),
        ("-999.5", -999.5, "refused"),
    ],
)
@pytest.mark.parametrize("beside", [[], ["x"], ["1"], ["1e400"], ["0x10", "99.5", " 7"]])
def test_number_means_the_same_beside_any_other(
    file: Path, text: str, number: float | str | None, integer: int | str | None, beside: list[str]
) -> None:
    by = contract(tokens=("-999", "9999999", " NA ", "99.5"))
    given_rows = [[str(n), each, "", "", "", ""] for n, each in enumerate([text, *beside], 1)]
    (values, rules), *_ = of_csv(by, given_rows, file)
    assert (values[1:2] or ["refused"]) == [number]
    assert rules == (["not_a_number:amount"] if number == "refused" else [])
    given_rows = [[str(n), "", "", each, "", ""] for n, each in enumerate([text, *beside], 1)]
    (values, rules), *_ = of_csv(by, given_rows, file)
    assert (values[3:4] or ["refused"]) == [integer]
    assert rules == (["not_a_number:months"] if integer == "refused" else [])


@pytest.mark.parametrize(
    ("key", "text", "verdict"),
    [
        ("integer", "812345678901", 812345678901),
        ("integer", "812345678901.0", 812345678901),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "8.12346E+11", "exponent_key"),
        ("integer", " 8e11", "exponent_key"),
        ("integer", "8E", "not_a_number"),
        ("integer", "0.0", "null_key"),
        ("text", "8.12346E+11", "exponent_key"),
        ("text", "8,12346E+11", "exponent_key"),
        ("text", "12E5", "12E5"),
        ("text", "2E+5-A", "2E+5-A"),
    ],
)
def test_key_with_an_exponent_is_refused(
    file: Path, key: str, text: str, verdict: int | str
) -> None:
    for beside in ([], [["7", *[""] * 5]]):
        (values, rules), *_ = of_csv(contract(key), [[text, *[""] * 5], *beside], file)
        assert values[:1] == [verdict] or rules == [f"{verdict}:loan_id"]


def test_keys_of_parquet_floats_are_exact_or_refused(file: Path) -> None:
    given_keys = {
        pa.float64(): [812345678901.0, 2.0**53 - 1, 2.0**53, 1e22],
        pa.float32(): [2.0**24 - 1, 2.0**24],
    }
    for type_, values in given_keys.items():
        columns = {name: pa.array([""] * len(values)) for name in NAMES[1:]}
        table = pa.table({"loan_id": pa.array(values, type_)} | columns)
        pq.write_table(table, file.with_suffix(".parquet"))
        with open_table(file.with_suffix(".parquet"), NAMES) as opened:
            found = judged(contract(), opened).values()
        limit = 2**53 if type_ == pa.float64() else 2**24
        assert [key[0] if key else rules for key, rules in found] == [
            int(value) if value < limit else ["exponent_key:loan_id"] for value in values
        ]
