"""For any mixture of faults: no row is lost, every fault is named, no clean row is rejected."""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loan_scoring import database
from loan_scoring.contract import Contract, IngestPolicy
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch, land_batch, publish_batch
from loan_scoring.ingest.files.table import open_table
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT, OTHER = "2026-01-05", "2026-01-06"
ROWS = 40
NO_NUMBER = ["x", "1_000", "nan", "inf", "12,5", "0x10", "1e", "--3", "1 000", "1e400"]
ODD_LEVEL = ['p9, "nine"', "two\nlines", "Zürich", "a\tb;c", "'; DROP TABLE batches; --", "{}\\N"]
"""Levels that an open column accepts, though they are hard to write."""


@dataclass
class Row:
    """A row to write: its values, the change to its line, and the rules that it must break."""

    values: dict[str, str]
    shape: str = "row"
    rules: set[str] = field(default_factory=set)


class Loans:
    """A session, real rows without a fault, and the keys of another published batch.

    Not a dataclass: hypothesis would print all rows with every example.
    """

    def __init__(self, session: Session, clean: list[dict[str, str]], taken: list[str]) -> None:
        self.session, self.clean, self.taken = session, clean, taken


@pytest.fixture(scope="module")
def loans(new_database: Any, drops: Replay, loan_default: Contract) -> Iterator[Loans]:
    # No batch is refused as a whole, however many rows are broken.
    patient = loan_default.model_copy(update={"ingest": IngestPolicy(max_quarantined_share=1)})
    ours, others = (
        list(csv.DictReader(io.StringIO(drops.application_files[batch].read_text())))
        for batch in (NIGHT, OTHER)
    )
    with open_session("loan_default", new_database()) as session:
        ingest_batch(session, OTHER, drops.application_files[OTHER])
        yield Loans(Session(patient, session.connection), ours[:200], [row["ID"] for row in others])


FAULTS: dict[str, list[tuple[str, str]]] = {
    "no_number": [
        (column, text)
        for column in ("income", "Credit_Score", "term", "loan_amount", "ID", "year")
        for text in NO_NUMBER
    ],
    "fraction": [("Credit_Score", "700.5")],
    "exponent": [("ID", "8.12E+11"), ("ID", "1e3"), ("Credit_Score", "7e2")],
    "null_key": [("ID", ""), ("ID", "  ")],
    "closed": [
        (column, text)
        for column in ("Gender", "loan_limit", "age", "Security_Type")
        for text in ("?", "male", "CF", *ODD_LEVEL)
    ],
    "open": [
        (column, text)
        for column in ("loan_purpose", "credit_type", "Region")
        for text in ODD_LEVEL
    ],
    "range": [
        ("Credit_Score", "901"), ("income", "-60"), ("year", "1999"), ("ID", "0"),
        ("term", "601"), ("loan_amount", "-5"), ("property_value", "1e12"),
    ],
    "ratio": [("LTV", "12.5"), ("loan_amount", "777"), ("LTV", "0")],
    "token": [("submission_of_application", "NA")],
    "spaced": [("income", " 1e3 "), ("Gender", " Male "), ("term", "+360.")],
}  # fmt: skip
"""Values to write into a row; some are valid and must be accepted."""
SHAPES = ["short", "long", "stray quote", "not text", "nul"]

places = st.integers(0, ROWS - 1)
kinds = st.sampled_from([*sorted(FAULTS), "known_key", "own_key"])
planted = st.dictionaries(
    places, st.lists(st.tuples(kinds, st.integers(0, 99)), min_size=1, max_size=4), max_size=20
)
shaped = st.dictionaries(places, st.sampled_from(SHAPES), max_size=5)
written = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t"),
        "line_end": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "bom": st.booleans(),
        "encoding": st.sampled_from(["utf-8", "latin-1"]),
        "packing": st.sampled_from(["", "gz", "zip"]),
        "blank_lines": st.booleans(),
        "last_line_ends": st.booleans(),
        "block_bytes": st.sampled_from([8 << 20, 20_000, 4_000]),
    }
)


def mutated(
    loans: Loans,
    start: int,
    faults: dict[int, list[tuple[str, int]]],
    shapes: dict[int, str],
) -> list[Row]:
    """Return real rows, each with no, one or several faults."""
    rows = [Row(dict(values)) for values in loans.clean[start : start + ROWS]]
    own = [row.values["ID"] for row in rows]
    for at, several in faults.items():
        for kind, which in several:
            if kind in FAULTS:
                column, value = FAULTS[kind][which % len(FAULTS[kind])]
            else:
                keys = loans.taken if kind == "known_key" else own
                column, value = "ID", keys[which % len(keys)]
            rows[at].values[column] = value
    for at, shape in shapes.items():
        rows[at].shape = shape
    return rows


def number(text: str) -> float | None:
    try:
        return float(text) if text.strip() not in NO_NUMBER else None
    except ValueError:
        return None


def judge(contract: Contract, rows: list[Row], taken: set[str]) -> None:
    """Set the rules that each row breaks, by a simple implementation of its own."""
    seen: set[int] = set()
    for row in rows:
        row.rules = set()
        if row.shape != "row":
            row.rules = {"encoding" if row.shape in ("not text", "nul") else "field_count"}
            continue
        typed: dict[str, float | None] = {}
        for column in contract.columns:
            text = row.values[column.source].strip()
            if text in ("", *column.null_tokens):
                if column.name == "loan_id":
                    row.rules.add("null_key:loan_id")
            elif column.name == "loan_id" and re.fullmatch(r"[0-9.]+[eE]\+?[0-9]+", text):
                row.rules.add("exponent_key:loan_id")
            elif column.is_numeric:
                value = typed[column.name] = number(text)
                if value is None or (column.type == "integer" and value % 1):
                    row.rules.add(f"not_a_number:{column.name}")
                    typed[column.name] = None
                    continue
                low, high = column.range or (None, None)
                if (low is not None and value < low) or (high is not None and value > high):
                    row.rules.add(f"out_of_range:{column.name}")
                if column.name == "loan_id":
                    if value in seen:
                        row.rules.add("duplicate_key:loan_id")
                    seen.add(int(value))
                    if text in taken:
                        row.rules.add("known_key:loan_id")
            elif not column.open_levels and column.levels and text not in column.levels:
                row.rules.add(f"unknown_level:{column.name}")
        for ratio in contract.ratios:
            parts = [typed.get(n) for n in (ratio.column, ratio.numerator, ratio.denominator)]
            if None not in parts:
                is_value, top, bottom = (float(part) for part in parts if part is not None)
                expected = ratio.scale * top / bottom
                if abs(is_value - expected) > ratio.tolerance * abs(expected):
                    row.rules.add(f"{ratio.name}:{ratio.column}")


def write(path: Path, rows: list[Row], how: dict[str, Any]) -> dict[int, Row]:
    """Write the file; return each row by the line on which it begins."""
    # A byte order mark says UTF-8, whatever the contract declares.
    encoding = "utf-8" if how["bom"] else how["encoding"]
    end = how["line_end"].encode()
    names = list(rows[0].values)

    def line(fields: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=how["delimiter"], quoting=how["quoting"]).writerow(fields)
        return text.getvalue().removesuffix("\r\n").encode(encoding)

    data = (b"\xef\xbb\xbf" if how["bom"] else b"") + line(names) + end
    lines: dict[int, Row] = {}
    delimiter = how["delimiter"].encode()
    for place, row in enumerate(rows):
        lines[1 + data.count(b"\n")] = row
        values = [v.replace("\n", " ") if row.shape != "row" else v for v in row.values.values()]
        record = line(values)
        if row.shape == "short":
            record = b"7" + delimiter + b"8"
        elif row.shape == "long":
            record += delimiter + b"more"
        elif row.shape == "stray quote":
            record = line(values[:-2]) + delimiter + b'"open' + delimiter + b"x"
        elif row.shape in ("not text", "nul"):
            # Any byte is text in latin-1; what no text can hold is NUL.
            is_nul = row.shape == "nul" or encoding == "latin-1"
            record = line([*values[:-1], "mark"]).replace(b"mark", b"\0" if is_nul else b"\xff")
        data += record + end
        if how["blank_lines"] and place % 7 == 0:
            data += end
    if not how["last_line_ends"] and rows[-1].shape not in ("stray quote", "short"):
        data = data.rstrip(b"\r\n")
    if how["packing"] == "gz":
        data = gzip.compress(data, 1)
    elif how["packing"] == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("night.csv", data)
        data = packed.getvalue()
    path.write_bytes(data)
    return lines


def typed(contract: Contract, row: Row) -> dict[str, Any]:
    """Return the values that an accepted row must have in the table."""
    found: dict[str, Any] = {}
    for column in contract.columns:
        text = row.values[column.source].strip()
        if text in ("", *column.null_tokens):
            found[column.name] = None
        elif column.is_numeric:
            found[column.name] = int(float(text)) if column.type == "integer" else float(text)
        else:
            found[column.name] = text
    return found


def clear(session: Session) -> None:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for table in ("loans", "applications", "quarantine", "batches"):
            cursor.execute(f"DELETE FROM {table} WHERE batch_id = %s", (NIGHT,))


def table(session: Session, query: str) -> list[dict[str, Any]]:
    names, rows = database.select_read_only(session.connection, query)
    return [dict(zip(names, row, strict=True)) for row in rows]


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(start=st.integers(0, 199 - ROWS), faults=planted, shapes=shaped, how=written)
def test_any_mixture_of_faults_is_named_and_nothing_else_is_refused(
    loans: Loans,
    tmp_path_factory: pytest.TempPathFactory,
    start: int,
    faults: dict[int, list[tuple[str, int]]],
    shapes: dict[int, str],
    how: dict[str, Any],
) -> None:
    rows = mutated(loans, start, faults, shapes)
    contract = loans.session.contract.model_copy(
        update={
            "source": loans.session.contract.source.model_copy(update={"encoding": how["encoding"]})
        }
    )
    session = Session(contract, loans.session.connection)
    path = tmp_path_factory.mktemp("property") / "night.csv"
    lines = write(path, rows, how)
    judge(contract, rows, set(loans.taken))
    clear(session)
    with pytest.MonkeyPatch.context() as patch:
        defaults = {**(open_table.__kwdefaults__ or {}), "block_bytes": how["block_bytes"]}
        patch.setattr(open_table, "__kwdefaults__", defaults)
        # The judge of the whole batch has tests of its own, and would refuse many of these.
        landed = land_batch(session, NIGHT, path)
        publish_batch(session, NIGHT, landed.revision, path)

    expected = {number: row.rules for number, row in lines.items() if row.rules}
    refused = table(session, f"select * from quarantine where batch_id = '{NIGHT}'")
    assert {row["line_number"]: set(row["rules"]) for row in refused} == expected
    accepted = table(session, f"select * from current_applications where batch_id = '{NIGHT}'")
    names = list(contract.by_name)
    assert {row["line_number"]: {name: row[name] for name in names} for row in accepted} == {
        number: typed(contract, row) for number, row in lines.items() if not row.rules
    }
    assert landed.received == len(rows) == landed.accepted + landed.quarantined
    assert landed.quarantined == len(expected)
