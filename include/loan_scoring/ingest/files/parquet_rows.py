"""Read a Parquet file as blocks of rows, with all values converted to text."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from loan_scoring.contract import FileFormat
from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Block, without_unstorable
from loan_scoring.ingest.files.columns import choose_columns, contract_names, escaped_name
from loan_scoring.ingest.files.text_streams import MAX_LINE_BYTES
from loan_scoring.ingest.files.unpacking import FREE_BYTES, MAX_EXPANSION

EXACT_BELOW = {16: 2.0**11, 32: 2.0**24, 64: 2.0**53}
"""From which number on a float rounds whole numbers, by the number of its bits."""
NUMBER_BYTES = 32
"""The most bytes of text of a number or a time."""
ROW_BYTES = 1 << 10
"""Bytes of text of a row that need no explanation, as few levels are stored in few bytes."""


class ParquetRows:
    """Iterate over the blocks of a Parquet file.

    A Parquet file has no lines, so its rows are numbered as if the file were CSV. After the
    iteration, `next_line` is the number after the last row. The raw text of a row is CSV with the
    columns `raw_columns`, separated by `delimiter`.

    Args:
        file: Parquet file, opened for reading.
        where: name of the file, for error messages.
        wanted: columns that the file must have.
        optional: columns that are read if the file has them.
        file_format: whether columns are known by name or by position.
        block_bytes: approximate size of a block, at 256 bytes per row.
        first_line: line number of the header. The first row has the next number.
    """

    delimiter = ","

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
        self._expanded = 0
        self.next_line = first_line + 1
        try:
            # With a buffer, a row group is read page by page. Otherwise memory would grow with the
            # size of the row group.
            self._file = pa.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
            packed = _text_columns(self._file.metadata)
            # Texts of a dictionary are expanded later, a part of the rows at a time.
            self._file = pa.parquet.ParquetFile(
                file, buffer_size=1 << 20, pre_buffer=False, read_dictionary=packed,
                metadata=self._file.metadata,
            )  # fmt: skip
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error
        self._limit = _text_limit(where, self._file.metadata, file)
        schema = self._file.schema_arrow
        names = contract_names(schema.names, [*wanted, *optional], file_format)
        self.header = choose_columns(where, names, wanted, optional)
        self._asked = [*wanted, *(name for name in optional if name not in self.header.missing)]
        self.raw_columns = self._asked
        self._places = [names.index(name) for name in self._asked]
        self._stored = [schema.names[place] for place in self._places]
        for name, place in zip(self._asked, self._places, strict=True):
            refuse_type(where, name, schema.field(place).type)
        self.declared_rows = self._file.metadata.num_rows
        if self.declared_rows == 0:
            raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")

    def __iter__(self) -> Iterator[Block]:
        try:
            for batch in self._file.iter_batches(self._block_rows, columns=self._stored):
                stored = dict(zip(self._asked, self._stored, strict=True))
                for part in self._parts(batch):
                    end = self.next_line + part.num_rows
                    lines = np.arange(self.next_line, end, dtype=np.int64)
                    self.next_line = end
                    yield text_block(part, stored, lines)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error

    def _parts(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield a batch in parts of at most FREE_BYTES of text.

        Raises:
            SourceError: a row is longer than a line of a CSV file may be, or the file expands to
                more text than its size and its number of rows explain.
        """
        longest = sum(map(_longest, batch.columns))
        if longest * batch.num_rows <= FREE_BYTES:
            self._expanded += longest * batch.num_rows
        else:
            lengths = np.sum([_lengths(each) for each in batch.columns], axis=0)
            self._expanded += int(lengths.sum())
            if lengths.max(initial=0) > MAX_LINE_BYTES:
                row = self.next_line + int(np.argmax(lengths > MAX_LINE_BYTES))
                raise SourceError(
                    f"{self._where}: row {row} is longer than {MAX_LINE_BYTES >> 20} MB; deliver "
                    "the file again"
                )
        if self._expanded > self._limit:
            raise SourceError(
                f"{self._where}: the file expands to more than {MAX_EXPANSION} times its size, "
                "like a zip bomb; if it is genuine, deliver it as CSV"
            )
        if longest * batch.num_rows <= FREE_BYTES:
            yield batch
            return
        begin, ends = 0, np.cumsum(lengths)
        while begin < batch.num_rows:
            used = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, used + FREE_BYTES, side="right")))
            yield batch.slice(begin, end - begin)
            begin = end

    def _damaged(self) -> SourceError:
        return SourceError(
            f"{self._where}: the file is not Parquet, or is damaged; deliver it again"
        )


def _text_columns(metadata: Any) -> list[str]:
    """Return the columns of text that are stored as a dictionary in some row group."""
    found = set()
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            if chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page:
                found.add(chunk.path_in_schema)
    return sorted(found)


def _text_limit(where: str, metadata: Any, file: BinaryIO) -> int:
    """Return to how many bytes of text a file may expand.

    Raises:
        SourceError: the pages alone, as the file declares them, expand to more.
    """
    size = os.fstat(file.fileno()).st_size
    pages: int = sum(
        metadata.row_group(each).total_byte_size for each in range(metadata.num_row_groups)
    )
    if pages > max(FREE_BYTES, MAX_EXPANSION * size):
        raise SourceError(
            f"{where}: the file declares {pages >> 20} MB in {size >> 10} KB, like a zip bomb; if "
            "it is genuine, deliver it with less compression"
        )
    rows: int = metadata.num_rows
    return max(FREE_BYTES, MAX_EXPANSION * size, ROW_BYTES * rows)


def _longest(values: pa.Array) -> int:
    """Return the length in bytes of the longest text in a column, or the width of a number."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary
    if not len(values) or not _is_text(values.type):
        return NUMBER_BYTES
    longest: int | None = pc.max(pc.binary_length(values)).as_py()
    return longest or 0


def _is_text(type_: pa.DataType) -> bool:
    return not (
        pa.types.is_primitive(type_) or pa.types.is_decimal(type_) or pa.types.is_null(type_)
    )


def _lengths(values: pa.Array) -> np.ndarray:
    """Return the length in bytes of each value's text, shape (rows,). 0 for null."""
    if pa.types.is_dictionary(values.type):
        lengths = pc.binary_length(values.dictionary).take(values.indices)
    elif not _is_text(values.type):
        return np.full(len(values), NUMBER_BYTES)
    else:
        lengths = pc.binary_length(values)
    return np.asarray(lengths.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)


def refuse_type(where: str, name: str, type_: pa.DataType) -> None:
    """Refuse a column whose values have no text that the contract could mean.

    Raises:
        SourceError: a value is a list or a structure, has no text, or is a duration, which Arrow
            would write as a number without its unit.
    """
    if pa.types.is_nested(type_):
        advice = "deliver one value per row"
    elif pa.types.is_duration(type_):
        advice = "deliver a number, and name its unit in the contract"
    elif pa.types.is_interval(type_) or isinstance(type_, pa.BaseExtensionType):
        advice = "deliver text or numbers"
    else:
        return
    raise SourceError(f"{where}: column {escaped_name(name)} is {type_}; {advice}")


def text_block(batch: pa.RecordBatch, stored: dict[str, str], lines: np.ndarray) -> Block:
    """Return a block of rows as text.

    A row with a value that is no UTF-8, or that contains NUL, becomes a malformed record. Postgres
    can store neither. `stored` has the name in the file by the name in the block.
    """
    columns, is_bad = {}, np.zeros(batch.num_rows, bool)
    kinds = {}
    for name, own in stored.items():
        values = batch.column(own)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if kind := _kind(values.type):
            kinds[name] = kind
        if pa.types.is_floating(values.type):
            values = _float_text(values)
        columns[name], is_bytes = _text(values)
        is_bad |= is_bytes
    return without_unstorable(Block(pa.table(columns), lines, [], kinds=kinds), is_bad)


def _kind(type_: pa.DataType) -> str | None:
    """Return the kind of typed values, as in `Block.kinds`. Return None for text."""
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_date(type_) or pa.types.is_timestamp(type_):
        return "time"
    is_number = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    return "number" if is_number or pa.types.is_decimal(type_) else None


def _text(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    r"""Return values as text, and a mask of the values whose bytes are not UTF-8.

    Each byte of such a value that is not UTF-8 becomes \x and two hex digits. Null becomes "".
    """
    try:
        text = values.cast(pa.string()).fill_null("")
        text.validate(full=True)
        return text, np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        cells = values.cast(pa.binary()).fill_null(b"").to_pylist()
    texts = [cell.decode(errors="backslashreplace") for cell in cells]
    wrong = [text.encode() != cell for text, cell in zip(texts, cells, strict=True)]
    return pa.array(texts, pa.string()), np.array(wrong, bool)


def _float_text(values: pa.Array) -> pa.Array:
    """Return floats as text. Whole numbers have an exponent only if the type may have rounded them.

    The cast of Arrow writes the key 812345678901 as 8.12345678901e+11. The rules refuse a key with
    an exponent, because its last digits may be lost.
    """
    text, numbers = values.cast(pa.string()), values.cast(pa.float64())
    is_exact = pc.less(pc.abs(numbers), EXACT_BELOW[values.type.bit_width])
    is_whole = pc.and_(pc.equal(pc.floor(numbers), numbers), is_exact)
    digits = pc.if_else(is_whole, numbers, 0.0).cast(pa.int64()).cast(pa.string())
    plain = pc.or_(is_exact, pc.match_substring_regex(text, "[a-z]"))
    exponent = pc.if_else(plain, text, pc.binary_join_element_wise(text, "e0", ""))
    return pc.if_else(is_whole, digits, exponent)
