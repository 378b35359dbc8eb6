"""Read a file that no contract describes yet: find its encoding, delimiter and header."""

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.fetching import open_files
from loan_scoring.ingest.files.table import PARQUET_MAGIC, open_table
from loan_scoring.ingest.files.unpacking import suffix_of, unpack

MOST_BYTES = 256 << 20
"""So many unpacked bytes of a file are read. The first rows of a larger file are enough."""
SAMPLE_BYTES = 256 << 10
SAMPLE_RECORDS = 500
WORKBOOKS = (".xlsx", ".xls", ".ods")
BLANK = "blank"
DELIMITERS = {",": ",", ";": ";", "\t": "tab", "|": "|"}
"""The delimiters that are tried, each with its name in a contract. Runs of blanks come last."""
NUMBER = re.compile(r"[+-]?[$€£]? ?[0-9][0-9.,' ]*(?:[eE][+-]?[0-9]+)? ?[%€$£]?")
MOST_WIDTH = 0.9
"""The share of records that must have as many fields as the first one."""


@dataclass(frozen=True)
class RawFile:
    """All values of a file as text, and how the file is written.

    `columns` has the file's columns in order, each with its name, or with its position from 1 if
    the file has no header. Columns without a name, or with a repeated one, are in `unnamed`; the
    positions of those without a name are `nameless`.
    """

    where: str
    columns: dict[str | int, pa.Array]
    unnamed: dict[int, pa.Array]
    encoding: str
    delimiter: str
    has_header: bool
    notes: list[str]
    nameless: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """The number of rows that were read."""
        found = next(iter(self.columns.values()), None)
        return 0 if found is None else len(found)

    @property
    def is_shouted(self) -> bool:
        """Whether all headers are in capitals."""
        return all(str(name) == str(name).upper() for name in self.columns)

    def source_named(self, name: str) -> str | int:
        """Return the column that a person named by its header, or by its position without one.

        Raises:
            SourceError: there is no such column.
        """
        source: str | int = int(name) if not self.has_header and name.isdecimal() else name
        if source not in self.columns:
            raise SourceError(
                f"{self.where} has no column '{name}'; its columns are "
                f"{', '.join(map(str, self.columns))}"
            )
        return source


def read_raw(location: str) -> RawFile:
    """Read the first file of a location.

    Raises:
        SourceError: the file cannot be read, has no rows, or no delimiter fits its records.
    """
    files = open_files(location)
    where, file = next(files)
    notes = (
        [] if next(files, None) is None else [f"several files match; this is drafted from {where}"]
    )
    with file:
        magic = file.read(4)
        file.seek(0)
        if magic == PARQUET_MAGIC:
            return _parquet(where, pq.read_schema(file).names, notes)
        if suffix_of(where) in WORKBOOKS:
            raise SourceError(
                f"{where}: a draft is not made from a workbook; save its sheet as CSV first"
            )
        stream = unpack(file, where, magic)
        pieces, size = [], 0
        while size <= MOST_BYTES and (piece := stream.read(4 << 20)):
            pieces.append(piece)
            size += len(piece)
    data = b"".join(pieces)
    if size > MOST_BYTES:
        data = data[: data.rfind(b"\n") + 1]
        notes.append(f"drafted from the first {MOST_BYTES >> 20} MB of the file")
    return _csv(where, data, notes)


def _parquet(where: str, names: list[str], notes: list[str]) -> RawFile:
    with open_table(where, names) as table:
        found = pa.concat_tables(block.table for block in table)
    columns: dict[str | int, pa.Array] = {n: _array(found.column(n)) for n in names}
    return RawFile(where, columns, {}, "utf-8", "auto", True, notes)


def _csv(where: str, data: bytes, notes: list[str]) -> RawFile:
    encoding = _encoding(data)
    if encoding != "utf-8":
        data = data.decode(encoding).encode()
    data = data.removeprefix(codecs.BOM_UTF8).replace(b"\0", b"")
    sample = _sample(data)
    delimiter, records = _records(where, sample)
    if delimiter == BLANK:
        lines = (b" ".join(line.split()) for line in data.splitlines())
        data = b"\n".join(line for line in lines if line) + b"\n"
    has_header = _has_header(records)
    width = len(records[0])
    malformed: list[int] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        malformed.append(row.number or 0)
        return "skip"

    positions = [str(place) for place in range(1, width + 1)]
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        # The header is read as a row, because a name in quotes may contain line ends.
        pa.csv.ReadOptions(column_names=positions, block_size=max(len(data), 1), use_threads=False),
        pa.csv.ParseOptions(
            delimiter=next((d for d, name in DELIMITERS.items() if name == delimiter), " "),
            newlines_in_values=b'"' in data,
            invalid_row_handler=skip,
        ),
        pa.csv.ConvertOptions(
            column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=False
        ),
    )
    if malformed:
        notes.append(f"{len(malformed):,} records do not have {width} fields; ingest refuses them")
    arrays = [_array(column)[int(has_header) :] for column in table.columns]
    if not len(arrays[0]):
        raise SourceError(f"{where}: the file has no row below the header; nothing can be drafted")
    if not has_header:
        return RawFile(where, dict(enumerate(arrays, 1)), {}, encoding, delimiter, False, notes)
    names, counts = records[0], Counter(records[0])
    columns: dict[str | int, pa.Array] = {}
    unnamed = {}
    for place, (name, values) in enumerate(zip(names, arrays, strict=True), 1):
        if name.strip() and counts[name] == 1:
            columns[name] = values
        else:
            unnamed[place] = values
    nameless = tuple(place for place, name in enumerate(names, 1) if not name.strip())
    return RawFile(where, columns, unnamed, encoding, delimiter, True, notes, nameless)


def _encoding(data: bytes) -> str:
    """Return the codec of a file: its mark decides, then UTF-8, then what Windows writes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf-8", "cp1252"):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _sample(data: bytes) -> str:
    cut = data[:SAMPLE_BYTES]
    if len(data) > SAMPLE_BYTES:
        cut = cut[: cut.rfind(b"\n") + 1] or cut
    return cut.decode(errors="replace")


def _records(where: str, sample: str) -> tuple[str, list[list[str]]]:
    """Return the delimiter's name and the first records, for the delimiter that fits best."""
    tried = []
    for delimiter, name in DELIMITERS.items():
        try:
            reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
            records = [row for row, _ in zip(reader, range(SAMPLE_RECORDS), strict=False) if row]
        except csv.Error:  # a field that is too long, because the delimiter is wrong
            continue
        tried.append((name, records))
    lines = [line.split() for line in sample.splitlines()[:SAMPLE_RECORDS] if line.strip()]
    tried.append((BLANK, lines))
    fits = []
    for name, records in tried:
        width = len(records[0]) if records else 0
        share = sum(len(row) == width for row in records) / max(len(records), 1)
        if width > 1 and share >= MOST_WIDTH:
            fits.append((name != BLANK, width, name, records))
    if not fits:
        raise SourceError(
            f"{where}: none of , ; tab | or blanks cuts its records into equally many fields; "
            "deliver it with one delimiter throughout"
        )
    _, _, name, records = max(fits, key=lambda each: each[:2])
    return name, records


def _has_header(records: list[list[str]]) -> bool:
    """Return whether the first record has names: no numbers, and few values of the rows below."""
    first, rest = records[0], records[1:]
    if any(NUMBER.fullmatch(field.strip()) for field in first):
        return False
    again = sum(
        bool(field.strip()) and field in {row[place] for row in rest if place < len(row)}
        for place, field in enumerate(first)
    )
    return again * 2 <= len(first)


def _array(values: pa.ChunkedArray) -> pa.Array:
    found = values.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
