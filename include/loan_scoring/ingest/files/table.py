"""Open the files of a location as one table with a header, a SHA-256 and blocks of rows."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Self

from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.csv_rows import CsvRows
from loan_scoring.ingest.files.fetching import open_files
from loan_scoring.ingest.files.parquet_rows import ParquetRows
from loan_scoring.ingest.files.unpacking import suffix_of, unpack

PARQUET_MAGIC = b"PAR1"
HASH_BYTES = 1 << 20


def open_table(
    location: str | Path,
    wanted: Sequence[str],
    *,
    encoding: str = "utf-8",
    optional: Sequence[str] = (),
    block_bytes: int = 4 << 20,
) -> "SourceTable":
    """Open a file, a glob of files or a URL as one table, to be used in a `with` statement.

    Args:
        location: local path, glob or URL.
        wanted: columns that every file must have.
        encoding: encoding that the contract declares.
        optional: columns that are read if the files have them.
        block_bytes: approximate size of a block of rows.

    Raises:
        SourceError: the source cannot be read, or a wanted column is missing.
    """
    return SourceTable(location, wanted, optional, encoding=encoding, block_bytes=block_bytes)


class SourceTable:
    """The rows of one location. Iterate over the table to read its blocks.

    The files of a glob are read in the order of their names. Line numbers continue from file to
    file, and the SHA-256 is computed from the bytes of all files in sequence.
    """

    def __init__(
        self,
        location: str | Path,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        encoding: str,
        block_bytes: int,
    ) -> None:
        self._wanted, self._optional = list(wanted), list(optional)
        self._encoding, self._block_bytes = encoding, block_bytes
        with ExitStack() as stack:
            self._files = [
                (where, stack.enter_context(file)) for where, file in open_files(str(location))
            ]
            self._stats = [_stat(file) for _, file in self._files]
            rows = [self._rows(where, file) for where, file in self._files]
            headers = [each.header for each in rows]
            self._stack = stack.pop_all()
        self.header = headers[0]
        self.raw_columns, self.delimiter = rows[0].raw_columns, rows[0].delimiter
        for (where, _), header in zip(self._files, headers, strict=True):
            if header.names != self.header.names:
                self._stack.close()
                raise SourceError(
                    f"{where}: its header differs from the header of {self._files[0][0]}; "
                    "all files of a glob must have the same columns in the same order"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the bytes as delivered, before unpacking, in hexadecimal digits."""
        digest = hashlib.sha256()
        for _, file in self._files:
            file.seek(0)
            while piece := file.read(HASH_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    def reads(self, path: Path) -> bool:
        """Return whether a local path is one of the table's files, even under another name."""
        if not path.exists():
            return False
        stat = path.stat()
        return any(os.path.samestat(os.fstat(file.fileno()), stat) for _, file in self._files)

    def __iter__(self) -> Iterator[Block]:
        first_line = 1
        for (where, file), stat in zip(self._files, self._stats, strict=True):
            rows = self._rows(where, file, first_line)
            yield from rows
            first_line = rows.next_line
            if _stat(file) != stat:
                raise PassingSourceError(
                    f"{where}: the file changed while it was being read; run again"
                )

    def _rows(self, where: str, file: BinaryIO, first_line: int = 1) -> CsvRows | ParquetRows:
        file.seek(0)
        magic = file.read(4)
        file.seek(0)
        if magic == PARQUET_MAGIC or suffix_of(where) == ".parquet":
            return ParquetRows(
                file,
                where,
                self._wanted,
                self._optional,
                block_bytes=self._block_bytes,
                first_line=first_line,
            )
        return CsvRows(
            unpack(file, where, magic),
            where,
            self._wanted,
            self._optional,
            encoding=self._encoding,
            block_bytes=self._block_bytes,
            first_line=first_line,
        )


def _stat(file: BinaryIO) -> tuple[int, int]:
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns
