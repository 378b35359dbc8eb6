"""Define what the CSV reader and the Parquet reader return: blocks of rows."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.ingest.files.text_streams import escaped_bytes


@dataclass(frozen=True)
class Malformed:
    """A record that is not a row, because it has a wrong number of fields or is not valid text."""

    line_number: int
    raw_text: str
    reason: str
    """The name of the broken rule: `field_count` or `encoding`."""


@dataclass(frozen=True)
class FilePlace:
    """A file of a table: its name, its first line within the table, and its number from 0."""

    name: str
    first_line: int = 1
    number: int = 0


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file, and the malformed records between these rows.

    `table` has the rows as text. `line_numbers` has the line on which each row begins. If a table
    has several files, lines are counted on from file to file; `place` says where the file begins.
    """

    table: pa.Table
    line_numbers: np.ndarray
    malformed: list[Malformed]
    _records: bytes = b""
    _bounds: np.ndarray | None = None
    place: FilePlace = FilePlace("")

    @property
    def records(self) -> int:
        """The number of rows and malformed records."""
        return int(self.table.num_rows) + len(self.malformed)

    def raw_text(self, row: int) -> str:
        """Return the text of a row as it is written in the file, without the line end.

        A row of a Parquet file is returned as CSV, with the columns of `table`.
        """
        if self._bounds is None:
            return csv_record([column[row].as_py() for column in self.table.columns])
        start, end = self._bounds[:, row]
        return self._records[start:end].decode()

    def raw_bytes(self) -> Iterator[bytes]:
        """Yield the text of each row in UTF-8, as `raw_text` returns it."""
        if self._bounds is None:
            yield from (self.raw_text(row).encode() for row in range(self.table.num_rows))
        else:
            for start, end in self._bounds.T.tolist():
                yield self._records[start:end]


def without_unstorable(block: Block, is_bad: np.ndarray | None = None) -> Block:
    """Return a block whose rows with NUL are malformed records, because Postgres cannot store them.

    Args:
        block: rows of a file that is not CSV.
        is_bad: mask of further rows that are not text.
    """
    bad = np.zeros(block.table.num_rows, bool) if is_bad is None else is_bad.copy()
    for column in block.table.columns:
        bad |= pc.match_substring(column, "\0").to_numpy()
    if not bad.any():
        return block
    malformed = [
        Malformed(
            int(block.line_numbers[row]), escaped_bytes(block.raw_text(row).encode()), "encoding"
        )
        for row in np.flatnonzero(bad).tolist()
    ]
    return Block(block.table.filter(pa.array(~bad)), block.line_numbers[~bad], malformed)


def csv_fields(record: str, delimiter: str) -> list[str]:
    """Return the fields of a CSV record. Return an empty list if a field is too long."""
    try:
        # The record is passed as a list of one string, because csv.reader would otherwise iterate
        # over the characters and lose the line ends inside quotes.
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return []


def csv_record(values: Sequence[str], delimiter: str = ",") -> str:
    """Return fields as a CSV record without a line end.

    >>> csv_record(["two\\nlines", "a,b", "c"])
    '"two\\nlines","a,b",c'
    """
    line = io.StringIO()
    # The line end is cut off afterwards, because with lineterminator="" the writer would not
    # quote values that contain line ends.
    csv.writer(line, delimiter=delimiter).writerow(values)
    return line.getvalue().removesuffix("\r\n")
