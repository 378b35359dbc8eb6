"""Export quarantined rows as a CSV file that a person can correct in a spreadsheet program."""

import csv
import re
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import current_revision
from loan_scoring.ingest.files.columns import readable_columns
from loan_scoring.ingest.quarantine import split_record, storable_text
from loan_scoring.ingest.row_rules import RejectedRow

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""The first characters by which a spreadsheet program recognises a formula."""


def export_quarantine(session: Session, batch_id: str, out: TextIO) -> int:
    """Write the quarantined rows of a batch's current revision as CSV, for a person to correct.

    Return the number of rows.

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

    The columns are `line_number`, `rules`, the columns of the source file, and `raw_text`. Columns
    without a name, or with a repeated name, are left out. Only malformed records have a `raw_text`.
    Their other columns are empty, and the person fills them in from `raw_text`. `spreadsheet_text`
    changes values that a spreadsheet program would calculate.

    Args:
        out: file to write.
        contract: contract of the portfolio.
        wanted: columns that a corrected file must have.
        layout: row of table `batches` with `header` and `delimiter` of the source file.
    """

    def __init__(
        self, out: TextIO, contract: Contract, wanted: list[str], layout: database.Row
    ) -> None:
        header = layout["header"]
        line_number, rules, raw_text = export_columns(contract)
        # A source column outside the contract may have one of these three names. This source column
        # is left out, because otherwise the CSV file would have two columns with the same name.
        shown = {*readable_columns(header)} - {line_number, rules, raw_text}
        self._layout = layout
        self._shown = [place for place, name in enumerate(header) if name in shown]
        self._later = [name for name in wanted if name not in header]
        # With a byte order mark, spreadsheet programs and CsvRows read the text as UTF-8.
        out.write("\ufeff")
        self._writer = csv.writer(out, lineterminator="\n")
        sources = {*(column.source for column in contract.columns), contract.target.source}
        names = [
            name if name in sources else spreadsheet_text(name)
            for name in (header[place] for place in self._shown)
        ]
        self._writer.writerow([line_number, rules, *names, *self._later, raw_text])

    def add(self, rejected: RejectedRow) -> None:
        """Write a rejected row as one row of the CSV file."""
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
    """Return a value that a spreadsheet program shows as text instead of calculating it.

    A value that looks like a formula gets a leading apostrophe. A formula that already has a
    leading apostrophe gets one more, so that `without_text_marks` can restore every value. Numbers
    are not changed.

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
    """Return columns of text without the apostrophes that `spreadsheet_text` added to values."""
    signs = "".join(map(re.escape, FORMULA_SIGNS))
    for place, name in enumerate(values.column_names):
        plain = pc.replace_substring_regex(values.column(place), f"^'('*[{signs}])", r"\1")
        values = values.set_column(place, name, plain)
    return values


def export_columns(contract: Contract) -> tuple[str, str, str]:
    """Return the names of columns `line_number`, `rules` and `raw_text` in an export.

    A name gets the prefix `quarantine_` if the contract has a source column with this name.
    """
    sources = {*(column.source for column in contract.columns), contract.target.source}
    line_number, rules, raw_text = (
        f"quarantine_{name}" if name in sources else name
        for name in ("line_number", "rules", "raw_text")
    )
    return line_number, rules, raw_text


def wanted_columns(contract: Contract, batch_id: str) -> list[str]:
    """Return the source columns that a file of the batch must have.

    A file of `history` must also have the target column.
    """
    return split_columns_of_file(contract, batch_id)[0]
