"""Use COPY to write Arrow tables to Postgres and to read query results as Arrow tables."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

BLOCK_BYTES = 16 << 20
"""Bytes of a result's text that are held before they are converted to Arrow."""


def copy_in(connection: Connection, table: str, columns: Sequence[str], data: pa.Table) -> None:
    """COPY an Arrow table into columns of a database table.

    A null stays a null, and an empty string stays an empty string.
    """
    copy_csv(connection, table, columns, as_csv(data))


def as_csv(data: pa.Table) -> io.BytesIO:
    """Return the rows of an Arrow table as CSV text, without a header, for `copy_csv`."""
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(data, buffer, pyarrow.csv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


def copy_csv(connection: Connection, table: str, columns: Sequence[str], text: io.BytesIO) -> None:
    """COPY CSV text that `as_csv` returned into columns of a database table."""
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(command, text)


def copy_out(
    connection: Connection, query: sql.Composable, types: Mapping[str, pa.DataType]
) -> pa.Table:
    """Run a query with COPY and return its rows as an Arrow table.

    Args:
        connection: open connection.
        query: SELECT to run.
        types: name and Arrow type of each column of the result, in the query's order.
    """
    arrived = _ArrivingRows(types)
    command = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor:
        cursor.copy_expert(command, arrived)
    return arrived.table()


class _ArrivingRows(io.RawIOBase):
    """Convert the text of a COPY to Arrow while it arrives, so that only a block is held as text.

    libpq gives whole rows, one at a time, so a block ends with a row whatever its texts contain.
    """

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        self._types = dict(types)
        self._text = io.BytesIO()
        self._tables: list[pa.Table] = []

    def write(self, row: Any) -> int:
        written = self._text.write(row)
        if self._text.tell() >= BLOCK_BYTES:
            self._convert()
        return written

    def table(self) -> pa.Table:
        """Return all rows that have arrived."""
        if self._text.tell():
            self._convert()
        if not self._tables:
            return pa.schema(list(self._types.items())).empty_table()
        return pa.concat_tables(self._tables)

    def _convert(self) -> None:
        self._text.seek(0)
        found = pyarrow.csv.read_csv(
            self._text,
            read_options=pyarrow.csv.ReadOptions(
                column_names=list(self._types), block_size=BLOCK_BYTES
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=self._types,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        self._tables.append(found)
        self._text = io.BytesIO()
