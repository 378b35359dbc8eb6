"""Export quarantined rows as CSV that a person can correct in a spreadsheet."""

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
"""The rules of malformed records: their text cannot be split into columns."""
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""The characters at which a spreadsheet begins a formula."""


def export_quarantine(session: Session, batch_id: str, out: TextIO) -> int:
    """Write the quarantined rows of a batch's current revision as CSV; return their number.

    Raises:
        StateError: the batch is not published, or none of its rows is in quarantine.
    """
    with database.transaction(session.connection):
        current = current_revision(session, batch_id)
        key = {"batch_id": batch_id, "revision": current["revision"]}
        quarantined = database.rows(session.connection, "select_quarantined", **key)
    if not quarantined:
        raise StateError(
            f"batch {batch_id} revision {current['revision']}: no row is in quarantine, "
            "so there is nothing to correct"
        )
    sheet = QuarantineSheet(
        out, session.contract, wanted_columns(session.contract, batch_id), current
    )
    for row in quarantined:
        sheet.add(RejectedRow(row["line_number"], row["raw_text"], row["rules"]))
    return len(quarantined)


class QuarantineSheet:
    """A CSV file of rejected rows for a person to correct, written row by row.

    Its columns are line_number, rules, the columns of the source, and raw_text. raw_text is filled
    for malformed records only; a person fills in their columns. Values that a spreadsheet would
    calculate are marked by `spreadsheet_text`.

    Args:
        out: the file to write.
        contract: of the portfolio.
        wanted: columns that a corrected file must have.
        layout: `header` and `delimiter` of the source, as in a row of batches.
    """

    def __init__(
        self, out: TextIO, contract: Contract, wanted: list[str], layout: database.Row
    ) -> None:
        header = layout["header"]
        line_number, rules, raw_text = export_columns(contract)
        own = {line_number, rules, raw_text}  # a column outside the contract may have such a name
        self._layout = layout
        self._shown = [place for place, name in enumerate(header) if name not in own]
        self._later = [name for name in wanted if name not in header]
        # The byte order mark tells spreadsheets and our reader that the text is UTF-8.
        out.write("\ufeff")
        self._writer = csv.writer(out, lineterminator="\n")
        sources = {*(column.source for column in contract.columns), contract.target.source}
        shown = [header[place] for place in self._shown]
        names = [name if name in sources else spreadsheet_text(name) for name in shown]
        self._writer.writerow([line_number, rules, *names, *self._later, raw_text])

    def add(self, rejected: RejectedRow) -> None:
        """Write one rejected row."""
        parts = split_record({"rules": rejected.rules, "raw_text": rejected.raw_text}, self._layout)
        values = [spreadsheet_text(parts[place]) if parts else "" for place in self._shown]
        text = "" if parts else spreadsheet_text(storable_text(rejected.raw_text))
        self._writer.writerow(
            [
                rejected.line_number,
                " ".join(rejected.rules),
                *values,
                *("" for _ in self._later),
                text,
            ]
        )


def spreadsheet_text(value: str) -> str:
    """Return a value that a spreadsheet does not calculate: a formula gets a leading '.

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
    """Return columns of text without the marks of `spreadsheet_text`."""
    signs = "".join(map(re.escape, FORMULA_SIGNS))
    for place, name in enumerate(values.column_names):
        plain = pc.replace_substring_regex(values.column(place), f"^'('*[{signs}])", r"\1")
        values = values.set_column(place, name, plain)
    return values


def export_columns(contract: Contract) -> tuple[str, str, str]:
    """Return the names of line_number, rules and raw_text in an export.

    They get the prefix `quarantine_` if the source has a column of that name.
    """
    sources = {*(column.source for column in contract.columns), contract.target.source}
    line_number, rules, raw_text = (
        f"quarantine_{name}" if name in sources else name
        for name in ("line_number", "rules", "raw_text")
    )
    return line_number, rules, raw_text


def wanted_columns(contract: Contract, batch_id: str) -> list[str]:
    """Return the source columns that a file of the batch must have; for history also the target."""
    labels = [contract.target.source] if batch_id == HISTORY else []
    return [*(column.source for column in contract.columns), *labels]


def split_record(row: database.Row, revision: database.Row) -> list[str] | None:
    """Return a quarantined record's fields in the order of the header, or None if malformed."""
    if MALFORMED.intersection(row["rules"]):
        return None
    # The files of a glob may have different delimiters: try the others too.
    for delimiter in [revision["delimiter"], *DELIMITERS]:
        values = csv_fields(row["raw_text"], delimiter)
        if len(values) == len(revision["header"]):
            return values
    return None
