"""Read the rows that a person corrected in an export of the quarantine."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files import blocks
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import SourceTable
from loan_scoring.ingest.spreadsheet import split_record, without_text_marks


def read_corrected_rows(
    table: SourceTable,
    location: str | Path,
    line_column: str,
    quarantined: dict[int, database.Row],
    current: database.Row,
) -> Iterator[blocks.Block]:
    """Yield the rows that a person filled in, with their line numbers in the source.

    Rows without a value are skipped: an export has one for each malformed record.

    Raises:
        SourceError: a row is malformed, or its line is not in quarantine or given twice.
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
    """Return the raw text of a row that is still broken; if unchanged, as in the source."""
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
