"""Define what the CSV reader and the Parquet reader return: blocks of rows."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa


class Readable(Protocol):
    """A stream from which bytes can be read."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes.

        Fewer bytes are returned only near the end of the stream, and no bytes at its end.
        """
        ...


@dataclass(frozen=True)
class Malformed:
    """A record that is not a row, because it has a wrong number of fields or is not valid text."""

    line_number: int
    raw_text: str
    reason: str
    """The name of the broken rule: `field_count` or `encoding`."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file, and the malformed records between these rows.

    `table` has the rows as text. `line_numbers` has the line on which each row begins. `kinds` has
    the columns whose texts were made of typed values: `number`, `boolean` or `time`. Their texts
    are plain numbers, true and false, or ISO 8601, whatever notation the contract declares.
    """

    table: pa.Table
    line_numbers: np.ndarray
    malformed: list[Malformed]
    _records: bytes = b""
    _bounds: np.ndarray | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)

    def raw_text(self, row: int) -> str:
        """Return the text of a row as it is written in the file, without the line end.

        A row of a Parquet file is returned as CSV, with the columns of `table`.
        """
        if self._bounds is None:
            return csv_record([column[row].as_py() for column in self.table.columns])
        start, end = self._bounds[:, row]
        return self._records[start:end].decode()


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
