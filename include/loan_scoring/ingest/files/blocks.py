"""What every reader gives: a header, and blocks of rows with the records that are no rows."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from loan_scoring.errors import SourceError


class Readable(Protocol):
    """A stream that gives up to `size` bytes at a time, and none at its end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; fewer than asked for only at the end."""
        ...


@dataclass(frozen=True)
class Malformed:
    """A record that is no row: it has another number of fields, or bytes that are no text."""

    line_number: int
    raw_text: str
    reason: str
    """`field_count` or `encoding`."""


@dataclass(frozen=True)
class Header:
    """The names that a file holds, in the file's order, and how they differ from those wanted."""

    names: list[str]
    missing: list[str]
    """Optional columns that the file does not have."""
    extra: list[str]
    """Columns of the file that nobody asked for; they are not read."""


@dataclass(frozen=True)
class Block:
    """A run of rows: their text, their lines, and the records between them that are no rows."""

    table: pa.Table
    line_numbers: np.ndarray
    malformed: list[Malformed]
    _records: bytes = b""
    _bounds: np.ndarray | None = None

    def raw_text(self, row: int) -> str:
        """Return the record as it stands in the file, without its line end.

        Of Parquet: its columns that were read, in the table's order, as CSV.
        """
        if self._bounds is None:
            return csv_record([column[row].as_py() for column in self.table.columns])
        start, end = self._bounds[:, row]
        return self._records[start:end].decode()


def csv_fields(record: str, delimiter: str) -> list[str]:
    """Return the fields of a record of CSV; none where one is longer than any may be."""
    try:
        # As a list of one string the record keeps the line ends inside its quotes.
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return []


def csv_record(values: Sequence[str], delimiter: str = ",") -> str:
    """Return fields as a record of CSV without its line end.

    >>> csv_record(["two\\nlines", "a,b", "c"])
    '"two\\nlines","a,b",c'
    """
    line = io.StringIO()
    # Only what the line terminator holds is quoted: with an empty one a line end would not be.
    csv.writer(line, delimiter=delimiter).writerow(values)
    return line.getvalue().removesuffix("\r\n")


def choose_columns(
    where: str, names: list[str], wanted: Sequence[str], optional: Sequence[str]
) -> Header:
    """Compare a file's names with those wanted.

    Raises:
        SourceError: a name stands twice, or a wanted one is missing.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(f"{where}: {_columns(repeated)} twice in the header; rename or drop one")
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
