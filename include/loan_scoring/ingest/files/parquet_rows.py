"""Read a Parquet file as blocks of rows, with all values converted to text."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from loan_scoring.contract import FileFormat
from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Block, without_unstorable
from loan_scoring.ingest.files.columns import choose_columns, contract_names, escaped_name

EXACT_BELOW = {16: 2.0**11, 32: 2.0**24, 64: 2.0**53}
"""From which number on a float rounds whole numbers, by the number of its bits."""


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
        self.next_line = first_line + 1
        try:
            # With a buffer, a row group is read page by page. Otherwise memory would grow with the
            # size of the row group.
            self._file = pa.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error
        schema = self._file.schema_arrow
        names = contract_names(schema.names, [*wanted, *optional], file_format)
        self.header = choose_columns(where, names, wanted, optional)
        self._asked = [*wanted, *(name for name in optional if name not in self.header.missing)]
        self.raw_columns = self._asked
        self._places = [names.index(name) for name in self._asked]
        self._stored = [schema.names[place] for place in self._places]
        for name, place in zip(self._asked, self._places, strict=True):
            _refuse_type(where, name, schema.field(place).type)
        if self._file.metadata.num_rows == 0:
            raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")

    def __iter__(self) -> Iterator[Block]:
        try:
            for batch in self._file.iter_batches(self._block_rows, columns=self._stored):
                lines = np.arange(self.next_line, self.next_line + batch.num_rows, dtype=np.int64)
                self.next_line += batch.num_rows
                stored = dict(zip(self._asked, self._stored, strict=True))
                yield _block(batch, stored, lines)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged() from error

    def _damaged(self) -> SourceError:
        return SourceError(
            f"{self._where}: the file is not Parquet, or is damaged; deliver it again"
        )


def _refuse_type(where: str, name: str, type_: pa.DataType) -> None:
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


def _block(batch: pa.RecordBatch, stored: dict[str, str], lines: np.ndarray) -> Block:
    """Return a block of rows as text.

    A row with a value that is no UTF-8, or that contains NUL, becomes a malformed record. Postgres
    can store neither. `stored` has the name in the file by the name in the block.
    """
    columns, is_bad = {}, np.zeros(batch.num_rows, bool)
    for name, own in stored.items():
        values = batch.column(own)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_floating(values.type):
            values = _float_text(values)
        columns[name], is_bytes = _text(values)
        is_bad |= is_bytes
    return without_unstorable(Block(pa.table(columns), lines, []), is_bad)


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
