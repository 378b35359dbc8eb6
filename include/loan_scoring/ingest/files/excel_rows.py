"""Read a sheet of an xlsx file as blocks of rows, with each cell as text.

| cell | text |
| --- | --- |
| text | as it is |
| number | at most 15 digits, as spreadsheet programs keep; percent as the number in the cell |
| date | YYYY-MM-DD |
| date with time | YYYY-MM-DD HH:MM:SS; at midnight the date only |
| time of day, duration | HH:MM:SS |
| boolean | TRUE or FALSE |
| empty, or an error such as #N/A | empty |
"""

import itertools
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from loan_scoring.contract import FileFormat
from loan_scoring.errors import INSTALL_EXTRAS, NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Block, without_unstorable
from loan_scoring.ingest.files.columns import choose_columns, contract_names
from loan_scoring.ingest.files.unpacking import FREE_BYTES, MAX_EXPANSION

EXACT_BELOW = 1e15
"""From this number on a spreadsheet program has lost digits. As a key it is then refused."""


def is_workbook(file: BinaryIO) -> bool:
    """Return whether a file is a zip archive with the parts of an xlsx file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False
    finally:
        file.seek(0)


class ExcelRows:
    """Iterate over the blocks of a sheet. The whole sheet is held in memory.

    The line number of a row is its number in the sheet. Empty rows are skipped. After the
    iteration, `next_line` is the number after the last row. The raw text of a row is CSV with the
    columns `raw_columns`, separated by `delimiter`.

    Args:
        file: xlsx file, opened for reading.
        where: name of the file, for error messages.
        wanted: columns that the sheet must have.
        optional: columns that are read if the sheet has them.
        file_format: sheet and header as the contract declares them.
        block_bytes: approximate size of a block, at 256 bytes per row.
        first_line: line number of the first row of the sheet.
    """

    delimiter = ","

    declared_rows = 0  # the number is known after reading

    def __init__(
        self,
        file: BinaryIO,
        where: str,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        file_format: FileFormat,
        block_bytes: int,
        first_line: int = 1,
    ) -> None:
        self._where, self._block_rows = where, max(1, block_bytes // 256)
        sheet = _open_sheet(file, where, file_format.sheet)
        start = sheet.start or (0, 0)
        # Rows begin with row 1 of the sheet, and cells with the first column that is used.
        before = [""] * start[1]
        self._rows: Iterator[tuple[int, list[Any]]] = (
            (first_line + place, [*before, *cells])
            for place, cells in enumerate(sheet.iter_rows())
            if any(cell != "" for cell in cells)
        )
        self.next_line = first_line + (sheet.end[0] + 1 if sheet.end else 0)
        first = next(self._rows, None)
        if first is None:
            raise NoRowsError(f"{where}: sheet {sheet.name} is empty; deliver it again")
        if file_format.header:
            names = contract_names(
                [_text(cell) for cell in first[1]], [*wanted, *optional], file_format
            )
            first = next(self._rows, None)
            if first is None:
                raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")
        else:
            names = [str(place) for place in range(1, len(first[1]) + 1)]
        self._rows = itertools.chain([first], self._rows)
        self.header = choose_columns(where, names, wanted, optional)
        self._asked = [*wanted, *(name for name in optional if name not in self.header.missing)]
        self._places = [names.index(name) for name in self._asked]
        self.raw_columns = self._asked

    def __iter__(self) -> Iterator[Block]:
        while rows := list(itertools.islice(self._rows, self._block_rows)):
            lines = np.array([line for line, _ in rows], np.int64)
            columns = {
                name: pa.array([_text(cells[place]) for _, cells in rows], pa.string())
                for name, place in zip(self._asked, self._places, strict=True)
            }
            yield without_unstorable(Block(pa.table(columns), lines, []))


def _open_sheet(file: BinaryIO, where: str, wanted: str | None) -> Any:
    try:
        # The extra `excel`. Its compiled module is loaded only for the files that need it.
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise SourceError(
            f"{where}: an xlsx file needs the package python-calamine; run "
            f"{INSTALL_EXTRAS}, or deliver CSV"
        ) from error
    try:
        _refuse_bomb(file, where)
        file.seek(0)
        book = CalamineWorkbook.from_filelike(file)
        names = book.sheet_names
        if wanted is None and len(names) != 1:
            raise SourceError(
                f"{where}: the file has {len(names)} sheets; declare one of "
                "them as source.sheet in the contract"
            )
        if wanted is not None and wanted not in book.sheet_names:
            raise SourceError(
                f"{where}: none of {len(names)} sheets is named {wanted}; correct "
                "source.sheet in the contract, or the file"
            )
        return book.get_sheet_by_name(wanted or book.sheet_names[0])
    except (CalamineError, zipfile.BadZipFile, OSError) as error:
        raise SourceError(
            f"{where}: the file is not xlsx, is damaged, or needs a password; deliver it again"
        ) from error


def _refuse_bomb(file: BinaryIO, where: str) -> None:
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        packed = sum(member.compress_size for member in archive.infolist())
    if unpacked > max(FREE_BYTES, MAX_EXPANSION * packed):
        raise SourceError(
            f"{where}: the file unpacks to more than {MAX_EXPANSION} times its size, like a zip "
            "bomb; if it is genuine, deliver it as CSV"
        )


def _text(cell: object) -> str:
    """Return the value of a cell as text, as the table above says."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        return _number_text(float(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(" ") if cell.time() != time.min else cell.date().isoformat()
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(round(cell.total_seconds()), 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    if isinstance(cell, date | time):
        return cell.isoformat()
    raise TypeError(f"a cell of type {type(cell).__name__}")


def _number_text(value: float) -> str:
    """Return a number with at most 15 digits. A number that may have lost digits has an exponent.

    >>> _number_text(812345678901.0), _number_text(0.1 + 0.2), _number_text(1.2345678901234568e17)
    ('812345678901', '0.3', '1.23456789012346e+17')
    """
    if value.is_integer() and abs(value) < EXACT_BELOW:
        return str(int(value))
    return f"{value:.15g}"
