"""Export quarantined rows as CSV for a person to correct, safe to open in a spreadsheet."""

import csv
import re
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import current_revision
from loan_scoring.ingest.files.blocks import csv_fields
from loan_scoring.ingest.files.csv_header import DELIMITERS
from loan_scoring.ingest.quarantine import storable_text
from loan_scoring.ingest.row_rules import RejectedRow

MALFORMED = {"field_count", "encoding"}
"""The rules of records that are no rows: their text cannot be parted into columns."""


FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""


def export_quarantine(session: Session, batch_id: str, out: TextIO) -> int:
    """Write the refused rows of a batch's current revision as a `Sheet`; return how many.

    Raises:
        StateError: the batch is not there, or none of its rows is in quarantine.
    """
    with database.transaction(session.connection):
        current = current_revision(session, batch_id)
        ours = {"batch_id": batch_id, "revision": current["revision"]}
        refused = database.rows(session.connection, "select_quarantined", **ours)
    if not refused:
        raise StateError(
            f"batch {batch_id} revision {current['revision']}: no row is in quarantine; "
            "there is nothing to correct"
        )
    sheet = QuarantineSheet(
        out, session.contract, wanted_columns(session.contract, batch_id), current
    )
    for row in refused:
        sheet.add(RejectedRow(row["line_number"], row["raw_text"], row["rules"]))
    return len(refused)


class QuarantineSheet:
    """Refused rows as CSV for a person to correct, written one by one.

    Before the source's columns stand line_number and rules; after them raw_text, which holds a
    record that is no row and whose columns a person has to fill in. `layout` is the header and the
    delimiter of the source, as a revision's row has them; `wanted` are the columns that a corrected
    file must have. What a spreadsheet would calculate stands there `as_text`.
    """

    def __init__(
        self, out: TextIO, contract: Contract, wanted: list[str], layout: database.Row
    ) -> None:
        header = layout["header"]
        line_number, rules, raw_text = export_columns(contract)
        own = {line_number, rules, raw_text}  # a column that nobody reads could be called so, too
        self._layout = layout
        self._shown = [place for place, name in enumerate(header) if name not in own]
        self._later = [name for name in wanted if name not in header]
        # A byte order mark tells spreadsheets, and the way back, that the text is UTF-8.
        out.write("\ufeff")
        self._writer = csv.writer(out, lineterminator="\n")
        sources = {*(column.source for column in contract.columns), contract.target.source}
        shown = [header[place] for place in self._shown]
        names = [name if name in sources else spreadsheet_text(name) for name in shown]
        self._writer.writerow([line_number, rules, *names, *self._later, raw_text])

    def add(self, refused: RejectedRow) -> None:
        """Write one refused row."""
        parts = split_record({"rules": refused.rules, "raw_text": refused.raw_text}, self._layout)
        values = [spreadsheet_text(parts[place]) if parts else "" for place in self._shown]
        text = "" if parts else spreadsheet_text(storable_text(refused.raw_text))
        self._writer.writerow(
            [
                refused.line_number,
                " ".join(refused.rules),
                *values,
                *("" for _ in self._later),
                text,
            ]
        )


def spreadsheet_text(value: str) -> str:
    """Return a value as a spreadsheet shows it and does not calculate it: with a ' before it.

    >>> [spreadsheet_text(each) for each in ("=1+1", "-5.2", "-cmd", "'=1", "it's")]
    ["'=1+1", '-5.2', "'-cmd", "''=1", "it's"]
    """
    if not value.lstrip("'").startswith(FORMULA_SIGNS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def without_text_marks(values: pa.Table) -> pa.Table:
    """Return columns of text without what `as_text` put before their values."""
    signs = "".join(map(re.escape, FORMULA_SIGNS))
    for place, name in enumerate(values.column_names):
        plain = pc.replace_substring_regex(values.column(place), f"^'('*[{signs}])", r"\1")
        values = values.set_column(place, name, plain)
    return values


def export_columns(contract: Contract) -> tuple[str, str, str]:
    """Return how an export calls line_number, rules and raw_text; the contract's names go first."""
    sources = {*(column.source for column in contract.columns), contract.target.source}
    line_number, rules, raw_text = (
        f"quarantine_{name}" if name in sources else name
        for name in ("line_number", "rules", "raw_text")
    )
    return line_number, rules, raw_text


def wanted_columns(contract: Contract, batch_id: str) -> list[str]:
    """Return the source's columns that a file of the batch must have; a history has labels."""
    labels = [contract.target.source] if batch_id == HISTORY else []
    return [*(column.source for column in contract.columns), *labels]


def split_record(row: database.Row, revision: database.Row) -> list[str] | None:
    """Return a refused record's fields in the order of its revision's header, None of no row."""
    if MALFORMED.intersection(row["rules"]):
        return None
    # The files of a glob may differ in their delimiter: then another one fits.
    for delimiter in [revision["delimiter"], *DELIMITERS]:
        values = csv_fields(row["raw_text"], delimiter)
        if len(values) == len(revision["header"]):
            return values
    return None
