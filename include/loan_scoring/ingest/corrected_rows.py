"""Read a CSV file of quarantined rows that a person has corrected."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY, Column
from loan_scoring.counted import described
from loan_scoring.errors import SourceError
from loan_scoring.ingest.file_lines import FileLines
from loan_scoring.ingest.files import blocks
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import SourceTable
from loan_scoring.ingest.quarantine import split_record
from loan_scoring.ingest.spreadsheet import without_text_marks

FILE_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[A-Za-z0-9_-]{0,40}(?:\.[a-z]{1,12}){1,3}")
"""Names of landed files. Any other text in the column of the file is not shown."""


def read_corrected_rows(
    table: SourceTable,
    key: Column,
    location: str | Path,
    places: Sequence[str],
    lines: FileLines,
    quarantined: dict[int, database.Row],
    current: database.Row,
) -> Iterator[blocks.Block]:
    """Yield blocks of corrected rows, with the line number of each row in the source file.

    A row without any value is skipped, because the export writes such a row for each malformed
    record, and the person may leave this row empty.

    Args:
        table: the corrected file.
        key: the key of the contract. The export fills in a key that is made from the row.
        location: the file's location, for error messages.
        places: names of the columns with the line number and, if the batch has several files, the
            name of the source file.
        lines: files of the current revision.
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
        marked = without_text_marks(block.table.select(list(places)))
        columns = [[text.strip() for text in each.to_pylist()] for each in marked.columns]
        texts, files = columns[0], columns[1] if len(columns) > 1 else [""] * block.table.num_rows
        numbers = list(map(lines.line_number, files, texts))
        values = without_text_marks(block.table.drop_columns(list(places)))
        given = values.drop_columns([KEY]) if key.made_from else values
        is_blank = pc.equal(pc.binary_join_element_wise(*given.columns, ""), "").to_pylist()
        keep: list[int] = []
        for row, text in enumerate(texts):
            line = numbers[row]
            if is_blank[row] and (not text or line in quarantined):
                continue
            if line not in quarantined or line in seen:
                fault = "occurs twice" if line in seen else "is not in quarantine"
                of_file = f" of {files[row]}" if FILE_NAME.fullmatch(files[row]) else ""
                is_shown = not text or (text.isdecimal() and len(text) < 10)
                named = text if is_shown else f"with a text of {described(text)}"
                raise SourceError(
                    f"{where}: line {block.line_numbers[row]}: {places[0]} {named or '(empty)'}"
                    f"{of_file} {fault} (revision {current['revision']}); export the rows again; "
                    "nothing was changed"
                )
            seen.add(line)
            keep.append(row)
        if keep:
            kept = pa.array([numbers[row] for row in keep], pa.int64()).to_numpy()
            yield blocks.Block(values.take(keep), kept, [])


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
