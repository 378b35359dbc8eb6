"""Read a CSV file of quarantined rows that a person has corrected."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files import blocks
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import SourceTable
from loan_scoring.ingest.quarantine import split_record
from loan_scoring.ingest.spreadsheet import without_text_marks


def read_corrected_rows(
    table: SourceTable,
    location: str | Path,
    line_column: str,
    quarantined: dict[int, database.Row],
    current: database.Row,
) -> Iterator[blocks.Block]:
    """Yield blocks of corrected rows, with the line number of each row in the source file.

    A row without any value is skipped, because the export writes such a row for each malformed
    record, and the person may leave this row empty.

    Args:
        table: the corrected file.
        location: the file's location, for error messages.
        line_column: name of the column with the line number in the source file.
        quarantined: the quarantined rows of the current revision, by line number.
        current: the batch's current revision, as a row of table `batches`.

    Raises:
        SourceError: a row is malformed, its line number is not in quarantine, or two rows have the
            same line number.
    """
    where, seen = location_label(location), set()
    for block in table:
        for malformed in block.malformed[:1]:
            raise SourceError(
                f"{where}: line {malformed.line_number} is malformed ({malformed.reason}); "
                "correct it; nothing was changed"
            )
        texts = [text.strip() for text in block.table.column(line_column).to_pylist()]
        values = without_text_marks(block.table.drop_columns([line_column]))
        is_blank = pc.equal(pc.binary_join_element_wise(*values.columns, ""), "").to_pylist()
        keep: list[int] = []
        for row, text in enumerate(texts):
            if is_blank[row] and (not text or (text.isdecimal() and int(text) in quarantined)):
                continue
            line = int(text) if text.isdecimal() else None
            if line not in quarantined or line in seen:
                fault = "occurs twice" if line in seen else "is not in quarantine"
                raise SourceError(
                    f"{where}: line {block.line_numbers[row]}: {line_column} {text or '(empty)'} "
                    f"{fault} (revision {current['revision']}); export the rows again; "
                    "nothing was changed"
                )
            seen.add(line)
            keep.append(row)
        if keep:
            lines = pa.array([int(texts[row]) for row in keep], pa.int64()).to_numpy()
            yield blocks.Block(values.take(keep), lines, [])


def corrected_raw_text(
    table: pa.Table, row: int, quarantined: database.Row, current: database.Row
) -> str:
    """Return the raw text to store for a corrected row that still breaks a rule.

    If the person changed no value, return the text of the source file. Otherwise return a CSV
    record with the columns and the delimiter of the source file.

    Args:
        table: block of corrected rows, one text column for each column in the corrected file.
        row: index of the row in `table`.
        quarantined: the row of table `quarantine` that was corrected.
        current: the batch's current revision, as a row of table `batches`.
    """
    before = split_record(quarantined, current)
    header = current["header"] or table.column_names
    after = [
        table.column(name)[row].as_py()
        if name in table.column_names
        else (before[place] if before else "")
        for place, name in enumerate(header)
    ]
    if before == after:
        return str(quarantined["raw_text"])
    return blocks.csv_record(after, current["delimiter"])
