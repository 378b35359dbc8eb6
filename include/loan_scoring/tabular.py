"""How rows are read: CSV or Parquet into blocks of text columns, in bounded memory."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from loan_scoring.errors import SourceError

HEADER_BYTES = 64 << 10
MAX_LINE_BYTES = 16 << 20
MAX_QUOTED_LINES = 100
"""A quoted value that spans more lines, or MAX_QUOTED_BYTES, is taken for a stray quote."""
MAX_QUOTED_BYTES = 1 << 20
FEW_ROWS = 10
"""Below so many faulty rows nothing is concluded about the whole file."""
DELIMITERS = ",;\t"
PARQUET_MAGIC = b"PAR1"


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
            return joined([column[row].as_py() for column in self.table.columns])
        start, end = self._bounds[:, row]
        return self._records[start:end].decode()


def fields(record: str, delimiter: str) -> list[str]:
    """Return the fields of a record of CSV; none where one is longer than any may be."""
    try:
        # As a list of one string the record keeps the line ends inside its quotes.
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return []


def joined(values: Sequence[str], delimiter: str = ",") -> str:
    """Return fields as a record of CSV without its line end.

    >>> joined(["two\\nlines", "a,b", "c"])
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


class CsvRows:
    """Iterate over the blocks of one CSV stream whose header is its first line.

    `first_line` is the number of the header's line; `next_line`, once all is read, of the line
    that would follow the last. A row's raw text holds `raw_columns`, parted by `delimiter`.
    """

    def __init__(
        self,
        stream: Readable,
        where: str,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        encoding: str,
        block_bytes: int,
        first_line: int = 1,
    ) -> None:
        self._stream, self._where, self._block_bytes = stream, where, block_bytes
        self._encoding, self._first_line = encoding, first_line
        self.next_line = first_line + 1
        line, self._carry, self._is_at_end = self._read_header()
        self.delimiter, names = self._split_header(line, {*wanted, *optional})
        self.header = choose_columns(where, names, wanted, optional)
        self.raw_columns = names
        asked = [*wanted, *(name for name in optional if name in names)]
        self._to_text = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(asked, pa.string()),
            include_columns=asked,
            strings_can_be_null=False,
        )
        self._record = _record_pattern(self.delimiter, len(names))

    def __iter__(self) -> Iterator[Block]:
        rows = malformed = 0
        while (data := self._next_bytes()) is not None:
            block, consumed = self._read_block(data)
            self._carry = data[consumed:]
            if len(self._carry) > MAX_LINE_BYTES and b"\n" not in self._carry:
                raise self._too_long(self.next_line)
            if rows + malformed == 0 and len(block.malformed) >= FEW_ROWS:
                self._judge(block)
            rows, malformed = rows + block.table.num_rows, malformed + len(block.malformed)
            if block.table.num_rows or block.malformed:
                yield block
        if not rows and not malformed:
            raise SourceError(f"{self._where}: a header and no rows; deliver the file again")

    def _next_bytes(self) -> bytes | None:
        """Return what is to be split next, ending in a line end if it is the file's last."""
        data, self._carry = self._carry, b""
        if self._is_at_end and not data:
            return None
        if not self._is_at_end:
            more = self._stream.read(self._block_bytes)
            self._is_at_end = not more
            data = self._in_utf8(data, more)
        if self._is_at_end and data and not data.endswith(b"\n"):
            data += b"\n"
        return data

    def _in_utf8(self, before: bytes, more: bytes) -> bytes:
        if self._encoding == "latin-1" and not more.isascii():
            more = more.decode("latin-1").encode()
        return before + more if before else more

    def _read_header(self) -> tuple[bytes, bytes, bool]:
        """Return the header's line, the bytes read after it, and whether that is all."""
        data, is_at_end = self._stream.read(min(HEADER_BYTES, self._block_bytes)), False
        while data.count(b"\n") < 2 and not is_at_end:
            if len(data) > MAX_LINE_BYTES:
                raise self._too_long(self._first_line + data.count(b"\n"))
            more = self._stream.read(self._block_bytes)
            data, is_at_end = data + more, not more
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SourceError(f"{self._where}: the text is UTF-16; save it as UTF-8")
        if data.startswith(b"\xef\xbb\xbf"):
            # A byte order mark says UTF-8, whatever the contract declares.
            data, self._encoding = data[3:], "utf-8"
        if not data.strip():
            raise SourceError(f"{self._where}: the file is empty; deliver it again")
        line, _, rest = data.partition(b"\n")
        if re.search(rb"[\x00-\x08\x0e-\x1f]", line):
            raise SourceError(f"{self._where}: not text but binary data; deliver CSV or Parquet")
        if is_at_end and not rest.strip(b"\r\n"):
            if b"\r" in line.rstrip(b"\r"):
                raise SourceError(f"{self._where}: lines end in CR alone; save it with LF or CRLF")
            raise SourceError(f"{self._where}: a header and no rows; deliver the file again")
        return line.rstrip(b"\r"), self._in_utf8(b"", rest), is_at_end

    def _split_header(self, line: bytes, asked: set[str]) -> tuple[str, list[str]]:
        """Return the delimiter that gives most of the asked names, and the names."""
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self._where}: the header is not {self._encoding}; declare source.encoding in "
                "the contract or convert the file"
            ) from error
        splits = {d: fields(text, d) for d in DELIMITERS}
        best = max(DELIMITERS, key=lambda d: len(asked.intersection(splits[d])))
        if not asked.intersection(splits[best]):
            start = text if len(text) <= 60 else text[:60] + "..."
            raise SourceError(
                f"{self._where}: no wanted column in the header {start!r}; names must be those "
                "of the contract, delimited by comma, semicolon or tab"
            )
        return best, splits[best]

    def _read_block(self, data: bytes) -> tuple[Block, int]:
        """Return the rows of all whole records in `data`, and how many bytes these are."""
        line_ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        if len(data) > MAX_LINE_BYTES and len(line_ends):
            lengths = np.diff(line_ends, prepend=-1)
            if lengths.max() > MAX_LINE_BYTES:
                raise self._too_long(self.next_line + int(lengths.argmax()))
        last = _record_ends(data, line_ends, self.delimiter)
        is_open = self._is_at_end and last is not None and len(line_ends) - 1 not in last[-1:]
        if last is not None and not is_open:
            try:
                return self._read_clean(data, line_ends, last)
            except pa.ArrowInvalid:
                pass  # A ragged record, or one that is no text: find it, and read the others.
        return self._read_one_by_one(data, line_ends)

    def _read_clean(
        self, data: bytes, line_ends: np.ndarray, last: np.ndarray
    ) -> tuple[Block, int]:
        """Read records that end at the line ends of index `last`; refuse if any has a fault."""
        ends = line_ends[last]
        starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
        lines = self.next_line + np.concatenate(([0], last[:-1] + 1)) if len(ends) else ends
        consumed = int(ends[-1]) + 1 if len(ends) else 0
        if not _is_clean(data, consumed):
            raise pa.ArrowInvalid("a record is no text")
        bounds = _without_line_ends(data, starts, ends)
        is_row = bounds[1] > bounds[0]
        table = self._to_table(pa.py_buffer(data).slice(0, consumed), with_quotes=b'"' in data)
        if table.num_rows != int(is_row.sum()):
            raise pa.ArrowInvalid("rows and records differ")
        self.next_line += int(last[-1]) + 1 if len(last) else 0
        return Block(table, lines[is_row], [], data, bounds[:, is_row]), consumed

    def _read_one_by_one(self, data: bytes, line_ends: np.ndarray) -> tuple[Block, int]:
        """Read what holds a fault: take the records that are whole and give the others back.

        A line that neither is a record nor begins one is a malformed record of its own, so that a
        stray quote costs its line and not what follows.
        """
        good: list[bytes] = []
        lines: list[int] = []
        malformed: list[Malformed] = []
        start = at = 0
        while at < len(line_ends):
            ahead = min(at + MAX_QUOTED_LINES, len(line_ends)) - 1
            limit = min(int(line_ends[ahead]) + 1, start + MAX_LINE_BYTES)
            match = self._record.match(data, start, limit)
            end = match.end() if match else int(line_ends[at]) + 1
            record = data[start:end]
            if (
                match is None
                and not self._is_at_end
                and self._may_go_on(data, start, at, line_ends)
            ):
                break
            text = record.rstrip(b"\r\n")
            if text:
                if not _is_text(text, len(text)):
                    malformed.append(Malformed(self.next_line + at, _shown(text), "encoding"))
                elif match is None:
                    malformed.append(Malformed(self.next_line + at, text.decode(), "field_count"))
                else:
                    good.append(record)
                    lines.append(self.next_line + at)
            at = int(np.searchsorted(line_ends, end - 1)) + 1 if match else at + 1
            start = end
        self.next_line += at
        records = b"".join(good)
        ends = np.cumsum([len(record) for record in good], dtype=np.int64) - 1
        starts = np.concatenate(([0], ends[:-1] + 1)) if good else ends
        table = self._to_table(pa.py_buffer(records), with_quotes=True)
        bounds = _without_line_ends(records, starts, ends)
        return Block(table, np.array(lines, np.int64), malformed, records, bounds), start

    def _may_go_on(self, data: bytes, start: int, at: int, line_ends: np.ndarray) -> bool:
        """Say whether a record that is not whole yet may be once more bytes are read."""
        is_near_end = len(line_ends) - at < MAX_QUOTED_LINES
        return is_near_end and len(data) - start < MAX_QUOTED_BYTES and b'"' in data[start:]

    def _to_table(self, records: pa.Buffer, with_quotes: bool) -> pa.Table:
        if records.size == 0:
            return pa.table({n: pa.array([], pa.string()) for n in self._to_text.include_columns})
        return pa.csv.read_csv(
            pa.BufferReader(records),
            pa.csv.ReadOptions(column_names=self.header.names, block_size=records.size + 1),
            pa.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=with_quotes),
            self._to_text,
        )

    def _judge(self, block: Block) -> None:
        """Refuse the file if the first faults that are met are those of the whole."""
        records = block.table.num_rows + len(block.malformed)
        undecodable = sum(record.reason == "encoding" for record in block.malformed)
        if undecodable * 2 > records and undecodable >= FEW_ROWS:
            raise SourceError(
                f"{self._where}: {undecodable} of the first {records} records are not "
                f"{self._encoding}; declare source.encoding in the contract or convert the file"
            )
        if block.table.num_rows == 0:
            raise SourceError(
                f"{self._where}: none of the first {records} records has the header's "
                f"{len(self.header.names)} fields; deliver it with one delimiter throughout"
            )

    def _too_long(self, line_number: int) -> SourceError:
        return SourceError(
            f"{self._where}: line {line_number} is longer than {MAX_LINE_BYTES >> 20} MB; "
            "its line ends are lost or it is no CSV"
        )


class ParquetRows:
    """Iterate over the blocks of one Parquet file; a row's line is its number plus `first_line`.

    A row's raw text holds `raw_columns`, parted by `delimiter`.
    """

    delimiter = ","

    def __init__(
        self,
        file: BinaryIO,
        where: str,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        block_bytes: int,
        first_line: int = 1,
    ) -> None:
        self._where, self._block_rows = where, max(1, block_bytes // 256)
        self.next_line = first_line + 1
        try:
            # Buffered, so that a row group is read page by page however large it is.
            self._file = pa.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error
        schema = self._file.schema_arrow
        self.header = choose_columns(where, schema.names, wanted, optional)
        self._asked = [*wanted, *(name for name in optional if name in schema.names)]
        self.raw_columns = self._asked
        for name in self._asked:
            if pa.types.is_nested(schema.field(name).type):
                raise SourceError(
                    f"{where}: column {name} is {schema.field(name).type}; deliver one value a row"
                )
        if self._file.metadata.num_rows == 0:
            raise SourceError(f"{where}: a header and no rows; deliver the file again")

    def __iter__(self) -> Iterator[Block]:
        try:
            for batch in self._file.iter_batches(self._block_rows, columns=self._asked):
                table = pa.table({name: _as_text(batch.column(name)) for name in self._asked})
                lines = np.arange(self.next_line, self.next_line + batch.num_rows, dtype=np.int64)
                self.next_line += batch.num_rows
                yield _without_nul(Block(table, lines, []))
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error

    def _damaged(self) -> SourceError:
        return SourceError(f"{self._where}: not Parquet, or damaged; deliver the file again")


def _as_text(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    text = values.cast(pa.string()).fill_null("")
    text.validate(full=True)
    return text


def _without_nul(block: Block) -> Block:
    """Take the rows that hold a NUL, which no Postgres text can, out of a block of Parquet."""
    has_nul = np.zeros(block.table.num_rows, bool)
    for column in block.table.columns:
        has_nul |= pa.compute.match_substring(column, "\0").to_numpy()
    if not has_nul.any():
        return block
    malformed = [
        Malformed(int(block.line_numbers[row]), _shown(block.raw_text(row).encode()), "encoding")
        for row in np.flatnonzero(has_nul).tolist()
    ]
    return Block(block.table.filter(~has_nul), block.line_numbers[~has_nul], malformed)


def _record_pattern(delimiter: str, fields: int) -> re.Pattern[bytes]:
    """Compile what a whole record of so many fields looks like, its line end included."""
    d = re.escape(delimiter).encode()
    field = rb'(?:"(?:[^"]++|"")*+"|(?:[^"%s\r\n][^%s\r\n]*+)?+)' % (d, d)
    return re.compile(rb"(?:%s%s){%d}%s\r?\n" % (field, d, fields - 1, field))


def _is_clean(data: bytes, size: int) -> bool:
    """Say whether the first bytes are text without NUL, and every CR belongs to a line end."""
    if data.count(b"\r", 0, size) != data.count(b"\r\n", 0, size):
        return False
    return _is_text(data, size)


def _is_text(data: bytes, size: int) -> bool:
    """Say whether Postgres would take the first bytes as UTF-8 text."""
    if data.find(b"\0", 0, size) >= 0:
        return False
    if data.isascii():
        return True
    # Validated in place: decoding would take up to four times the bytes.
    offsets = pa.py_buffer(np.array([0, size], np.int32))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _shown(data: bytes) -> str:
    r"""Return bytes that are no text as text: what is not UTF-8, and NUL, as \x and two digits."""
    return data.decode(errors="backslashreplace").replace("\0", r"\x00")


def _record_ends(data: bytes, line_ends: np.ndarray, delimiter: str) -> np.ndarray | None:
    """Return the indices of those line ends that end a record: the ones outside quotes.

    None where quotes do not stand as they should: an opening one at the start of a field, a
    closing one at its end, or a quoted value that never seems to end.
    """
    quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == ord('"'))
    if not len(quotes):
        return np.arange(len(line_ends))
    text = np.frombuffer(data, np.uint8)
    before = np.where(quotes[::2] > 0, text[quotes[::2] - 1], ord("\n"))
    closing = quotes[1::2]
    after = np.where(closing + 1 < len(text), text[np.minimum(closing + 1, len(text) - 1)], 10)
    d = ord(delimiter)
    if not (np.isin(before, [d, 10, 34]).all() and np.isin(after, [d, 10, 13, 34]).all()):
        return None
    last = np.flatnonzero(np.searchsorted(quotes, line_ends) % 2 == 0)
    spans = np.diff(last, prepend=-1)
    tail_lines = len(line_ends) - 1 - (last[-1] if len(last) else -1)
    tail_bytes = len(data) - (line_ends[last[-1]] + 1 if len(last) else 0)
    if tail_lines and tail_bytes > MAX_QUOTED_BYTES:
        return None
    return None if max(spans.max(initial=0), tail_lines) > MAX_QUOTED_LINES else last


def _without_line_ends(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return starts and ends of records as two rows, a CR before the line end left out."""
    if not len(ends):
        return np.empty((2, 0), np.int64)
    text = np.frombuffer(data, np.uint8)
    has_cr = (text[np.maximum(ends - 1, 0)] == ord("\r")) & (ends > starts)
    return np.stack([starts, ends - has_cr])


def _columns(names: list[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
