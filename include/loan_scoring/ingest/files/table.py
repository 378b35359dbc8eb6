"""Open the files of a location as one table with a header, a SHA-256 and blocks of rows."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

from loan_scoring.contract import Contract, FileFormat
from loan_scoring.errors import MissingColumnsError, PassingSourceError, SourceError
from loan_scoring.ingest.files.blocks import Block, FilePlace
from loan_scoring.ingest.files.csv_rows import CsvRows
from loan_scoring.ingest.files.excel_rows import ExcelRows, is_workbook
from loan_scoring.ingest.files.fetching import open_files
from loan_scoring.ingest.files.locations import Location
from loan_scoring.ingest.files.parquet_rows import ParquetRows
from loan_scoring.ingest.files.unpacking import suffix_of, unpack

PARQUET_MAGIC, ZIP_MAGIC = b"PAR1", b"PK\3\4"
HASH_BYTES = 1 << 20
UTF_8 = FileFormat()


@dataclass(frozen=True)
class ReadFile:
    """A file of a table after it was read: its name, SHA-256, first line and number of records."""

    name: str
    sha256: str
    first_line: int
    records: int


def open_table(
    location: Location,
    wanted: Sequence[str],
    *,
    file_format: FileFormat = UTF_8,
    optional: Sequence[str] = (),
    block_bytes: int = 4 << 20,
) -> "SourceTable":
    """Open a file, several files or a URL as one table, to be used in a `with` statement.

    Args:
        location: local path, glob, URL, or several local paths.
        wanted: columns that every file must have.
        file_format: how the contract says that the files are written.
        optional: columns that are read if the files have them.
        block_bytes: approximate size of a block of rows.

    Raises:
        SourceError: the source cannot be read, or a wanted column is missing.
    """
    return SourceTable(location, wanted, optional, file_format=file_format, block_bytes=block_bytes)


def open_applications(
    contract: Contract, location: Location, wanted: Sequence[str], optional: Sequence[str] = ()
) -> "SourceTable":
    """Open applications as `open_table` does; a refusal says which columns could be optional.

    Raises:
        SourceError: as for `open_table`.
    """
    try:
        return open_table(location, wanted, file_format=contract.source, optional=optional)
    except MissingColumnsError as error:
        later = [
            column.name
            for column in contract.columns
            if not column.is_known_at_application
            and not {*error.columns}.isdisjoint(column.sources)
        ]
        if not later:
            raise
        raise MissingColumnsError(
            f"{error}: set optional: true for what is known later ({', '.join(later)})",
            error.columns,
        ) from None


class SourceTable:
    """The rows of one location. Iterate over the table to read its blocks.

    The files of a glob are read in the order of their names. Line numbers continue from file to
    file; after an iteration, `read_files` says where each file begins.
    """

    def __init__(
        self,
        location: Location,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        file_format: FileFormat,
        block_bytes: int,
    ) -> None:
        self._wanted, self._optional = list(wanted), list(optional)
        self._format, self._block_bytes = file_format, block_bytes
        self._is_listed, self._counts = isinstance(location, tuple), list[tuple[int, int]]()
        with ExitStack() as stack:
            self._files = [
                (where, stack.enter_context(file)) for where, file in open_files(location)
            ]
            self._stats = [_stat(file) for _, file in self._files]
            rows = [self._rows(where, file) for where, file in self._files]
            headers = [each.header for each in rows]
            self._stack = stack.pop_all()
        self.header = headers[0]
        self.raw_columns, self.delimiter = rows[0].raw_columns, rows[0].delimiter
        self.declared_rows = sum(each.declared_rows for each in rows)
        """The rows that files declare before they are read: those of Parquet. Others declare 0."""
        for (where, _), header in zip(self._files, headers, strict=True):
            if header.names != self.header.names:
                self._stack.close()
                raise SourceError(
                    f"{where}: its header differs from the header of {self._files[0][0]}; "
                    "all files of a batch must have the same columns in the same order"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_several(self) -> bool:
        """Whether the table has more than one file."""
        return len(self._files) > 1

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the bytes as delivered, before unpacking, in hexadecimal digits.

        For a glob it is computed from the bytes of all files in sequence. For listed files it is
        computed from their names and hashes, because rows may move from file to file.
        """
        if not self.is_several:
            return self._sha256s[0]
        if self._is_listed:
            listed = zip(self._names, self._sha256s, strict=True)
            return hashlib.sha256(repr(list(listed)).encode()).hexdigest()
        return _sha256(file for _, file in self._files)

    @cached_property
    def _sha256s(self) -> list[str]:
        return [_sha256([file]) for _, file in self._files]

    @cached_property
    def _names(self) -> list[str]:
        """The names of the files without folders, or with folders where a name occurs twice."""
        names = [PurePosixPath(where).name for where, _ in self._files]
        return names if len({*names}) == len(names) else [where for where, _ in self._files]

    @property
    def read_files(self) -> list[ReadFile]:
        """The files of the table, as the last complete iteration found them."""
        return [
            ReadFile(name, sha256, *counts)
            for name, sha256, counts in zip(self._names, self._sha256s, self._counts, strict=True)
        ]

    def reads(self, path: Path) -> bool:
        """Return whether a local path is one of the table's files, even under another name."""
        if not path.exists():
            return False
        stat = path.stat()
        return any(os.path.samestat(os.fstat(file.fileno()), stat) for _, file in self._files)

    def __iter__(self) -> Iterator[Block]:
        counts, first_line = [], 1
        for number, ((where, file), stat) in enumerate(zip(self._files, self._stats, strict=True)):
            rows, records = self._rows(where, file, first_line), 0
            place = FilePlace(self._names[number], first_line, number)
            for block in rows:
                records += block.records
                yield replace(block, place=place)
            counts.append((first_line, records))
            first_line = rows.next_line
            if _stat(file) != stat:
                raise PassingSourceError(
                    f"{where}: the file changed while it was being read; run again"
                )
        self._counts = counts

    def _rows(
        self, where: str, file: BinaryIO, first_line: int = 1
    ) -> CsvRows | ParquetRows | ExcelRows:
        file.seek(0)
        magic = file.read(4)
        file.seek(0)
        common: dict[str, Any] = {
            "file_format": self._format,
            "block_bytes": self._block_bytes,
            "first_line": first_line,
        }
        if magic == PARQUET_MAGIC or suffix_of(where) == ".parquet":
            return ParquetRows(file, where, self._wanted, self._optional, **common)
        if suffix_of(where) == ".xlsx" or (magic == ZIP_MAGIC and is_workbook(file)):
            return ExcelRows(file, where, self._wanted, self._optional, **common)
        text = unpack(file, where, magic)
        return CsvRows(text, where, self._wanted, self._optional, **common)


def _sha256(files: Iterable[BinaryIO]) -> str:
    digest = hashlib.sha256()
    for file in files:
        file.seek(0)
        while piece := file.read(HASH_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _stat(file: BinaryIO) -> tuple[int, int]:
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns
