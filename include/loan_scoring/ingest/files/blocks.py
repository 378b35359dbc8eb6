"""What every reader returns: a header, and blocks of rows with the malformed records."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from loan_scoring.errors import SourceError


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes: fewer than `size` only near the end, none at the end."""
        ...


@dataclass(frozen=True)
class Malformed:
    """A record that is not a row: a wrong number of fields, or bytes that are not text."""

    line_number: int
    raw_text: str
    reason: str
    """`field_count` or `encoding`."""


@dataclass(frozen=True)
class Header:
    """The column names of a file, in its order, and how they differ from the wanted ones."""

    names: list[str]
    missing: list[str]
    """Optional columns that are not in the file."""
    extra: list[str]
    """Columns of the file that are neither wanted nor optional; they are not read."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows: their text, their lines, and the malformed records between them."""

    table: pa.Table
    line_numbers: np.ndarray
    malformed: list[Malformed]
    _records: bytes = b""
    _bounds: np.ndarray | None = None

    def raw_text(self, row: int) -> str:
        """Return the record as written in the file, without its line end.

        For Parquet: the columns that were read, in the order of the table, as CSV.
        """
        if self._bounds is None:
            return csv_record([column[row].as_py() for column in self.table.columns])
        start, end = self._bounds[:, row]
        return self._records[start:end].decode()


def csv_fields(record: str, delimiter: str) -> list[str]:
    """Return the fields of a CSV record; an empty list if a field is too long."""
    try:
        # A list of one string keeps the line ends inside quotes.
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return []


def csv_record(values: Sequence[str], delimiter: str = ",") -> str:
    """Return fields as a CSV record without its line end.

    >>> csv_record(["two\\nlines", "a,b", "c"])
    '"two\\nlines","a,b",c'
    """
    line = io.StringIO()
    # Not lineterminator="": the writer would then leave line ends in values unquoted.
    csv.writer(line, delimiter=delimiter).writerow(values)
    return line.getvalue().removesuffix("\r\n")


def choose_columns(
    where: str, names: list[str], wanted: Sequence[str], optional: Sequence[str]
) -> Header:
    """Return the header of a file, compared with the wanted columns.

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
