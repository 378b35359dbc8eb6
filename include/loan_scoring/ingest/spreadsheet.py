"""Export quarantined rows as a CSV file that a person can correct in a spreadsheet program."""

import csv
import re
from typing import NamedTuple, TextIO

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.file_lines import FileLines
from loan_scoring.ingest.files.columns import readable_columns
from loan_scoring.ingest.keys import made_key
from loan_scoring.ingest.quarantine import split_record, storable_text
from loan_scoring.ingest.revisions import current_revision
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
        lines = FileLines(session, batch_id, current["revision"])
    if not quarantined:
        raise StateError(
            f"batch {batch_id} revision {current['revision']}: no row is in quarantine, "
            "so there is nothing to correct"
        )
    sheet = QuarantineSheet(
        out,
        session.contract,
        wanted_columns(session.contract, batch_id),
        current,
        with_file=lines.is_several,
    )
    for row in quarantined:
        file, line = lines.place(row["line_number"])
        sheet.add(RejectedRow(line, row["raw_text"], row["rules"]), file)
    return len(quarantined)


class QuarantineSheet:
    """A CSV file of rejected rows for a person to correct, written row by row.

    The columns are `line_number`, `rules`, the columns of the source file, and `raw_text`. Of
    several files, `file` stands before `line_number`. A key that is made from the row is a column
    `loan_id`, so that the corrected row keeps the key of the row as it was delivered. Columns
    without a name, or with a repeated name, are left out. Only malformed records have a `raw_text`.
    Their other columns are empty, and the person fills them in from `raw_text`. `spreadsheet_text`
    changes values that a spreadsheet program would calculate.

    Args:
        out: file to write.
        contract: contract of the portfolio.
        wanted: columns that a corrected file must have.
        layout: row of table `batches` with `header` and `delimiter` of the source file.
        with_file: whether the rows come from several files.
    """

    def __init__(
        self,
        out: TextIO,
        contract: Contract,
        wanted: list[str],
        layout: database.Row,
        *,
        with_file: bool = False,
    ) -> None:
        header = layout["header"]
        own = export_columns(contract)
        # A source column outside the contract may have one of these three names. This source column
        # is left out, because otherwise the CSV file would have two columns with the same name.
        self._key = contract.key if contract.key.made_from and KEY in wanted else None
        shown = {*readable_columns(header)} - {*own, *([KEY] if self._key else [])}
        self._layout, self._with_file = layout, with_file
        self._shown = [place for place, name in enumerate(header) if name in shown]
        self._later = [
            name for name in wanted if name not in header and not (self._key and name == KEY)
        ]
        # With a byte order mark, spreadsheet programs and CsvRows read the text as UTF-8.
        out.write("\ufeff")
        self._writer = csv.writer(out, lineterminator="\n")
        sources = {*contract.sources, contract.target.source}
        names = [
            name if name in sources else spreadsheet_text(name)
            for name in (header[place] for place in self._shown)
        ]
        self._writer.writerow(
            [
                *([own.file] if with_file else []), own.line_number, own.rules,
                *([KEY] if self._key else []), *names, *self._later, own.raw_text,
            ]
        )  # fmt: skip

    def add(self, rejected: RejectedRow, file: str = "") -> None:
        """Write a rejected row as one row of the CSV file.

        Args:
            rejected: row, whose line number is that of its file.
            file: name of its file.
        """
        parts = split_record({"rules": rejected.rules, "raw_text": rejected.raw_text}, self._layout)
        values = [spreadsheet_text(parts[place]) if parts else "" for place in self._shown]
        text = "" if parts else spreadsheet_text(storable_text(rejected.raw_text))
        key = []
        if self._key:
            made = made_key(self._key, rejected.raw_text, file, rejected.line_number)
            key = [spreadsheet_text(made)]
        self._writer.writerow(
            [
                *([spreadsheet_text(file)] if self._with_file else []),
                rejected.line_number,
                " ".join(rejected.rules),
                *key,
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


class ExportColumns(NamedTuple):
    """The names of the columns of an export that are not columns of the source file."""

    line_number: str
    rules: str
    raw_text: str
    file: str


def export_columns(contract: Contract) -> ExportColumns:
    """Return the names of columns `line_number`, `rules`, `raw_text` and `file` in an export.

    A name gets the prefix `quarantine_` if the contract has a source column with this name.
    """
    sources = {*contract.sources, contract.target.source}
    return ExportColumns(
        *(f"quarantine_{name}" if name in sources else name for name in ExportColumns._fields)
    )


def wanted_columns(contract: Contract, batch_id: str) -> list[str]:
    """Return the columns that a file of corrected rows of the batch must have.

    A file of `history` must also have the target column, and a file of rows whose keys were made
    from them must have the column `loan_id`.
    """
    wanted = split_columns_of_file(contract, batch_id)[0]
    return [*([] if contract.key.sources else [KEY]), *wanted]
