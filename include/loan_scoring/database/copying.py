"""Copy Arrow tables to and from Postgres by COPY."""

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql
from psycopg2.extensions import connection as Connection


def copy_in(connection: Connection, table: str, columns: Sequence[str], data: pa.Table) -> None:
    """COPY an Arrow table into columns of a table; nulls and empty strings are kept apart."""
    copy_csv(connection, table, columns, as_csv(data))


def as_csv(data: pa.Table) -> io.BytesIO:
    """Return an Arrow table as CSV text for `copy_csv`."""
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(data, buffer, pyarrow.csv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


def copy_csv(connection: Connection, table: str, columns: Sequence[str], text: io.BytesIO) -> None:
    """COPY the CSV text of `as_csv` into columns of a table."""
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(command, text)


def copy_out(
    connection: Connection, query: sql.Composable, types: Mapping[str, pa.DataType]
) -> pa.Table:
    """Return a query's rows as an Arrow table whose columns have the given names and types."""
    buffer = io.BytesIO()
    command = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor:
        cursor.copy_expert(command, buffer)
    if not buffer.tell():
        return pa.schema(list(types.items())).empty_table()
    buffer.seek(0)
    return pyarrow.csv.read_csv(
        buffer,
        read_options=pyarrow.csv.ReadOptions(column_names=list(types), block_size=16 << 20),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict(types),
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
