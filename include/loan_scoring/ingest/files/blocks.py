"""Define what the CSV reader and the Parquet reader return: a header, and blocks of rows."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from loan_scoring.errors import SourceError


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
class Header:
    """The column names of a file, in order, and the differences from the columns asked for."""

    names: list[str]
    missing: list[str]
    """Optional columns that the file does not have."""
    extra: list[str]
    """Columns of the file that are neither wanted nor optional. These columns are not read."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file, and the malformed records between these rows.

    `table` has the rows as text. `line_numbers` has the line on which each row begins.
    """

    table: pa.Table
    line_numbers: np.ndarray
    malformed: list[Malformed]
    _records: bytes = b""
    _bounds: np.ndarray | None = None

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


def choose_columns(
    where: str, names: list[str], wanted: Sequence[str], optional: Sequence[str]
) -> Header:
    """Return the header of a file, and check that the file has all wanted columns.

    Args:
        where: name of the file, for error messages.
        names: column names of the file.
        wanted: columns that the file must have.
        optional: columns that are read if the file has them.

    Raises:
        SourceError: a name occurs twice, or a wanted column is missing.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"{where}: {_columns(repeated)} twice in the header; rename or remove one"
        )
    missing = [name for name in wanted if name not in names]
    if missing:
        raise SourceError(
            f"{where}: {_columns(missing)} missing from the header; add what is missing, "
            "or change the contract"
        )
    asked = {*wanted, *optional}
    return Header(
        names,
        missing=[name for name in optional if name not in names],
        extra=[name for name in names if name not in asked],
    )


def _columns(names: list[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
