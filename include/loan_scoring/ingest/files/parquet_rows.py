"""Read a Parquet file as blocks of rows, with all values converted to text."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from loan_scoring.errors import NoRowsError, SourceError
from loan_scoring.ingest.files.blocks import Block, Malformed, choose_columns
from loan_scoring.ingest.files.csv_grammar import escaped_text


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
        self.header = choose_columns(where, schema.names, wanted, optional)
        self._asked = [*wanted, *(name for name in optional if name in schema.names)]
        self.raw_columns = self._asked
        for name in self._asked:
            if pa.types.is_nested(schema.field(name).type):
                raise SourceError(
                    f"{where}: column {name} is {schema.field(name).type}; "
                    "deliver one value per row"
                )
        if self._file.metadata.num_rows == 0:
            raise NoRowsError(f"{where}: the file has a header but no rows; deliver it again")

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
        return SourceError(
            f"{self._where}: the file is not Parquet, or is damaged; deliver it again"
        )


def _as_text(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    text = values.cast(pa.string()).fill_null("")
    text.validate(full=True)
    return text


def _without_nul(block: Block) -> Block:
    """Turn rows that contain NUL into malformed records, because Postgres cannot store NUL."""
    has_nul = np.zeros(block.table.num_rows, bool)
    for column in block.table.columns:
        has_nul |= pa.compute.match_substring(column, "\0").to_numpy()
    if not has_nul.any():
        return block
    malformed = [
        Malformed(
            int(block.line_numbers[row]), escaped_text(block.raw_text(row).encode()), "encoding"
        )
        for row in np.flatnonzero(has_nul).tolist()
    ]
    return Block(block.table.filter(~has_nul), block.line_numbers[~has_nul], malformed)
