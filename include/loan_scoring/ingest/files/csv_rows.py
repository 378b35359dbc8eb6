"""Read a CSV stream as blocks of rows, in memory that does not grow with the file."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv

from loan_scoring.contract import FileFormat
from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Block, Malformed, csv_fields
from loan_scoring.ingest.files.columns import choose_columns
from loan_scoring.ingest.files.csv_grammar import (
    MAX_QUOTED_BYTES,
    MAX_QUOTED_LINES,
    ends_in_a_letter,
    is_clean,
    is_text,
    plain_lines,
    record_ends,
    record_pattern,
    without_line_ends,
)
from loan_scoring.ingest.files.csv_header import HEADER_BYTES, line_too_long, read_header
from loan_scoring.ingest.files.text_streams import (
    MAX_LINE_BYTES,
    InUtf8,
    Readable,
    SingleBlanks,
    escaped_bytes,
    open_text,
)

FEW_ROWS = 10
"""A whole file is refused only if its first block has at least this many malformed records.

Fewer malformed records go to quarantine.
"""


class CsvRows:
    """Iterate over the blocks of a CSV stream, whose first record may be the header.

    After the iteration, `next_line` is the line number that follows the stream's last line.

    Args:
        stream: unpacked bytes of the file.
        where: name of the file, for error messages.
        wanted: columns that the file must have.
        optional: columns that are read if the file has them.
        file_format: how the contract says that the file is written.
        block_bytes: number of bytes to read for one block.
        first_line: line number of the header.
    """

    declared_rows = 0  # the number is known after reading

    def __init__(
        self,
        stream: Readable,
        where: str,
        wanted: Sequence[str],
        optional: Sequence[str],
        *,
        file_format: FileFormat,
        block_bytes: int,
        first_line: int = 1,
    ) -> None:
        self._where, self._block_bytes = where, block_bytes
        self._text, self._encoding = open_text(
            stream,
            where,
            encoding=file_format.encoding,
            block_bytes=min(HEADER_BYTES, block_bytes),
        )
        self._stream: Readable = (
            SingleBlanks(self._text) if file_format.delimiter == "blank" else self._text
        )
        found = read_header(
            self._stream,
            where,
            {*wanted, *optional},
            file_format=file_format,
            first_line=first_line,
            block_bytes=block_bytes,
        )
        self.next_line = first_line + found.lines
        self._has_header, self._is_at_end = file_format.header, found.is_at_end
        self._ends_without_line_end = False
        self._carry = found.rest
        self.delimiter, names = found.delimiter, found.names
        self.header = choose_columns(where, names, wanted, optional)
        self.raw_columns = names
        asked = [*wanted, *(name for name in optional if name in names)]
        self._to_text = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(asked, pa.string()),
            include_columns=asked,
            strings_can_be_null=False,
        )
        self._record = record_pattern(self.delimiter, len(names))

    def __iter__(self) -> Iterator[Block]:
        rows = malformed = 0
        while (data := self._next_bytes()) is not None:
            block, consumed = self._read_block(data)
            self._carry = data[consumed:]
            if len(self._carry) > MAX_LINE_BYTES and b"\n" not in self._carry:
                raise line_too_long(self._where, self.next_line)
            if rows + malformed == 0 and len(block.malformed) >= FEW_ROWS:
                self._refuse_if_wrong(block)
            rows, malformed = rows + block.table.num_rows, malformed + len(block.malformed)
            if block.table.num_rows or block.malformed:
                yield block
        if not rows and not malformed:
            raise NoRowsError(f"{self._where}: the file has a header but no rows; deliver it again")

    def _next_bytes(self) -> bytes | None:
        """Return the incomplete record of the last block, followed by the next bytes of the stream.

        At the end of the stream a missing line end is added. Return None if no bytes are left.
        """
        data, self._carry = self._carry, b""
        if self._is_at_end and not data:
            return None
        if not self._is_at_end:
            more = self._stream.read(self._block_bytes)
            self._is_at_end = not more
            data = data + more if data else more
        if self._is_at_end and data and not data.endswith(b"\n"):
            self._ends_without_line_end = True
            data += b"\n"
        return data

    def _read_block(self, data: bytes) -> tuple[Block, int]:
        """Return a block of the complete records in `data`, and the number of bytes read.

        An incomplete record at the end of `data` is left for the next block.
        """
        line_ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        if len(data) > MAX_LINE_BYTES and len(line_ends):
            lengths = np.diff(line_ends, prepend=-1)
            if lengths.max() > MAX_LINE_BYTES:
                raise line_too_long(self._where, self.next_line + int(lengths.argmax()))
        last = record_ends(data, line_ends, self.delimiter)
        is_open = self._is_at_end and last is not None and len(line_ends) - 1 not in last[-1:]
        if last is not None and not is_open:
            try:
                return self._read_clean(data, line_ends, last)
            except pa.ArrowInvalid:
                pass  # At least one record is malformed, so read the records one by one.
        return self._read_one_by_one(data, line_ends)

    def _read_clean(
        self, data: bytes, line_ends: np.ndarray, last: np.ndarray
    ) -> tuple[Block, int]:
        """Read all records at once, and return the block and the number of bytes read.

        Args:
            data: bytes that begin at the start of a record.
            line_ends: positions of all LF in `data`.
            last: indices into `line_ends` of the line ends that end a record.

        Raises:
            pa.ArrowInvalid: a record is malformed.
        """
        ends = line_ends[last]
        starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
        lines = self.next_line + np.concatenate(([0], last[:-1] + 1)) if len(ends) else ends
        consumed = int(ends[-1]) + 1 if len(ends) else 0
        if not is_clean(data, consumed):
            raise pa.ArrowInvalid("a record is not text")
        bounds = without_line_ends(data, starts, ends)
        is_row = bounds[1] > bounds[0]
        table = self._to_table(pa.py_buffer(data).slice(0, consumed), with_quotes=b'"' in data)
        if table.num_rows != int(is_row.sum()):
            raise pa.ArrowInvalid("rows and records differ")
        self.next_line += int(last[-1]) + 1 if len(last) else 0
        return Block(table, lines[is_row], [], data, bounds[:, is_row]), consumed

    def _read_one_by_one(self, data: bytes, line_ends: np.ndarray) -> tuple[Block, int]:
        """Read a block with malformed records, and return the block and the number of bytes read.

        A line that is not a record and does not begin a record becomes a malformed record. So a
        stray quote spoils only its own line, and the lines after it are read as usual.
        """
        is_plain = plain_lines(data, line_ends, self.delimiter, len(self.header.names))
        other = np.append(np.flatnonzero(~is_plain), len(line_ends))
        line_starts = np.concatenate(([0], line_ends[:-1] + 1)) if len(line_ends) else line_ends
        good: list[tuple[int, int]] = []
        firsts: list[np.ndarray] = []
        lasts: list[np.ndarray] = []
        malformed: list[Malformed] = []
        start = at = 0
        while at < len(line_ends):
            if is_plain[at]:
                upto = int(other[np.searchsorted(other, at)])
                firsts.append(np.arange(at, upto))
                lasts.append(firsts[-1])
                good.append((start, int(line_ends[upto - 1]) + 1))
                start, at = good[-1][1], upto
                continue
            ahead = min(at + MAX_QUOTED_LINES, len(line_ends)) - 1
            limit = min(int(line_ends[ahead]) + 1, start + MAX_LINE_BYTES)
            match = self._record.match(data, start, limit)
            end = match.end() if match else int(line_ends[at]) + 1
            if (
                match is None
                and not self._is_at_end
                and self._may_go_on(data, start, at, line_ends)
            ):
                break
            after = int(np.searchsorted(line_ends, end - 1)) + 1 if match else at + 1
            text = data[start:end].rstrip(b"\r\n")
            if text:
                if not is_text(text, len(text)):
                    is_decoded = isinstance(self._text, InUtf8)
                    shown = escaped_bytes(text, is_decoded=is_decoded)
                    malformed.append(Malformed(self.next_line + at, shown, "encoding"))
                elif match is None:
                    malformed.append(Malformed(self.next_line + at, text.decode(), "field_count"))
                else:
                    firsts.append(np.array([at]))
                    lasts.append(np.array([after - 1]))
                    good.append((start, end))
            start, at = end, after
        if self._ends_without_line_end and malformed and start == len(data):
            self._refuse_torn(malformed[-1], self.next_line + len(line_ends) - 1, text)
        first = np.concatenate(firsts) if firsts else np.empty(0, np.int64)
        last = np.concatenate(lasts) if lasts else first
        lines = self.next_line + first
        self.next_line += at
        records = b"".join(data[begin:end] for begin, end in good)
        table = self._to_table(pa.py_buffer(records), with_quotes=True)
        bounds = without_line_ends(data, line_starts[first], line_ends[last])
        return Block(table, lines, malformed, data, bounds), start

    def _may_go_on(self, data: bytes, start: int, at: int, line_ends: np.ndarray) -> bool:
        """Return whether the record that begins at `start` could be completed by further bytes.

        This is possible if the record has a quote and is within the limits of a quoted value.
        """
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

    def _refuse_torn(self, record: Malformed, last_line: int, text: bytes) -> None:
        """Refuse the file if its last line has no line end and is the beginning of a record.

        Args:
            record: last malformed record of the file.
            last_line: number of the last line of the file.
            text: bytes of the last line.

        Raises:
            SourceError: the file was cut off in the middle of a record.
        """
        if record.reason == "encoding":
            is_cut = self._text.is_cut if isinstance(self._text, InUtf8) else None
            is_torn = ends_in_a_letter(text) if is_cut is None else is_cut
        else:
            is_torn = len(csv_fields(record.raw_text, self.delimiter)) <= len(self.header.names)
        if is_torn and record.line_number == last_line:
            raise SourceError(
                f"{self._where}: the last record, line {last_line}, is cut off "
                f"({record.reason}, and no line end), so the file is not whole; deliver it again"
            )

    def _refuse_if_wrong(self, block: Block) -> None:
        """Refuse the file if its first block shows that the file's encoding or delimiter is wrong.

        Raises:
            SourceError: most records are not in the declared encoding, or no record has as many
                fields as the header.
        """
        records = block.table.num_rows + len(block.malformed)
        undecodable = sum(record.reason == "encoding" for record in block.malformed)
        if undecodable * 2 > records and undecodable >= FEW_ROWS:
            raise SourceError(
                f"{self._where}: {undecodable} of the first {records} records are not "
                f"{self._encoding}; declare source.encoding in the contract, or convert the file"
            )
        if block.table.num_rows == 0:
            first = "header" if self._has_header else "first record"
            raise SourceError(
                f"{self._where}: none of the first {records} records has the {first}'s "
                f"{len(self.header.names)} fields; deliver the file with one delimiter throughout"
            )
