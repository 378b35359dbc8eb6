"""Talk to Postgres in a portfolio's schema: transactions, named queries, locks, COPY."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import immutabledict

from loan_scoring import settings
from loan_scoring.errors import DatabaseError

OWNER = "loan_scoring"
"""The role that owns the schemas, migrates them and drops old months (docs/adr/0024)."""

APPLICATION = "loan_scoring_app"
"""The role of the stages, where the server tells it from the owner."""

READER = "loan_scoring_reader"
"""The role of analysts: it may select from views and tables and nothing else."""

ALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "300000",
}
"""How a connection learns that its server has gone without a word; a URL may say otherwise.

Without, work waits for hours on a host that lost its power. Unanswered data or probes end a
connection after `tcp_user_timeout` milliseconds where the system knows it, as Linux does, else
after keepalives_count probes. Five minutes, since a server that lives but takes nothing in for as
long, such as one that waits for a lock amid a COPY, is given up, too.
"""

Row = dict[str, Any]


def connect(
    portfolio: str,
    url: str | None = None,
    within_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Open a connection whose search_path is the portfolio's schema.

    Args:
        url: defaults to LOAN_SCORING_DATABASE_URL, else to the embedded Postgres, which is started.
        within_seconds: how long the server may take to answer; what the URL or `ALIVE` says unless
            given.
        parameters: of the server for this connection, such as statement_timeout.

    Raises:
        DatabaseError: the URL is not one, or no server answers there.
    """
    dsn = libpq_url(url or settings.database_url() or _embedded_url())
    told = {"search_path": portfolio, "timezone": "UTC", **(parameters or {})}
    wanted: dict[str, Any] = {
        **ALIVE,
        **libpq_parameters(dsn),
        "application_name": "loan-scoring",
        "options": " ".join(f"-c {name}={value}" for name, value in told.items()),
    }
    if within_seconds is not None:
        wanted["connect_timeout"] = within_seconds
    try:
        connection: Connection = psycopg2.connect(**wanted)
    except psycopg2.Error as error:
        raise _no_database(dsn, str(error)) from error
    return connection


def libpq_parameters(url: str) -> dict[str, str]:
    """Return what libpq reads in the URL of a database, by libpq's names, such as sslmode.

    Raises:
        DatabaseError: not the URL of a Postgres database, or libpq does not know an option.
    """
    dsn = libpq_url(url)
    try:
        return dict(parse_dsn(dsn))
    except psycopg2.ProgrammingError as error:  # libpq reads no nested JSON of Airflow's
        advice = "; give each option by its own name, such as ?sslmode=require"
        raise _no_database(dsn, f"{error}{advice}") from error


def _no_database(dsn: str, reason: str) -> DatabaseError:
    told = " ".join(reason.split())
    return DatabaseError(f"no database at {without_password(dsn)}: {told}")


TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""What other clients of the same database need to encrypt, and to be known, as we do."""


def libpq_environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a program of Postgres connects by libpq's parameters.

    Arguments would show the password to whoever lists processes.
    """
    names = ("host", "hostaddr", "port", "user", "password", "connect_timeout", *TLS)
    variables = {"dbname": "PGDATABASE"} | {name: f"PG{name.upper()}" for name in names}
    return {
        **os.environ,
        **{variables[name]: value for name, value in parameters.items() if name in variables},
    }


def connect_beside(connection: Connection) -> Connection:
    """Open another connection to the same database and schema as the same role."""
    known = connection.info
    parameters: dict[str, Any] = {**known.dsn_parameters, "password": known.password}
    other: Connection = psycopg2.connect(**parameters)
    return other


def location(connection: Connection) -> str:
    """Return the URL, without password, of the database that a connection is open to."""
    known = connection.info
    return f"postgresql://{known.user}@{known.host}:{known.port}/{known.dbname}"


def _embedded_url() -> str:
    from loan_scoring.local.postgres import embedded

    server = embedded()
    server.start()
    return server.url("loan_scoring")


def libpq_url(url: str) -> str:
    """Return a URL that libpq understands from any that SQLAlchemy or Airflow does.

    Raises:
        DatabaseError: not the URL of a Postgres database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # a port that is no number is a ValueError
        raise DatabaseError(
            "the database URL is none: write postgresql://user:password@host:port/name"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseError(
            f"the database is {parsed.get_backend_name()}; loan-scoring needs postgresql://..."
        )
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """Return the URL fit for a log or a screen."""
    parsed = make_url(url)
    said = {name: value for name, value in parsed.query.items() if name in ("host", "port")}
    # set(password=None) would mean: leave it as it is.
    return parsed._replace(password=None, query=immutabledict(said)).render_as_string()


@cache
def statement(name: str) -> str:
    """Return the text of sql/queries/NAME.sql."""
    return (settings.home() / "sql" / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def rows(connection: Connection, name: str, **values: Any) -> list[Row]:
    """Run a named query and return its rows as dictionaries."""
    with connection.cursor() as cursor:
        cursor.execute(statement(name), values)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def row(connection: Connection, name: str, **values: Any) -> Row | None:
    """Run a named query that gives one row or none."""
    found = rows(connection, name, **values)
    return found[0] if found else None


def execute(connection: Connection, name: str, **values: Any) -> int:
    """Run a named statement and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement(name), values)
        return int(cursor.rowcount)


def select_read_only(connection: Connection, query: str) -> tuple[list[str], list[list[Any]]]:
    """Run a person's query in a read-only transaction; return its header and rows.

    Raises:
        DatabaseError: Postgres refuses the query; the text is its first line.
    """
    try:
        with transaction(connection), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(query)
            if cursor.description is None:
                return [], []
            return [column.name for column in cursor.description], [*map(list, cursor.fetchall())]
    except psycopg2.Error as error:
        raise DatabaseError(f"Postgres: {str(error).strip().splitlines()[0]}") from error


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit what stands inside as one, or nothing of it."""
    try:
        yield
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    connection.commit()


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Read what stands inside as of one moment, whatever others commit; it may write nothing."""
    connection.commit()  # a query before would have chosen an earlier moment
    with transaction(connection), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def lock(connection: Connection, subject: str) -> None:
    """Hold the advisory lock of a subject in this schema until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || %s, 0))",
            (subject,),
        )


def copy_in(connection: Connection, table: str, columns: Sequence[str], data: pa.Table) -> None:
    """COPY an Arrow table into columns of a table; nulls stay nulls, '' stays ''."""
    copy_csv(connection, table, columns, as_csv(data))


def as_csv(data: pa.Table) -> io.BytesIO:
    """Write an Arrow table as the text that `copy_csv` takes; it needs no connection."""
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(data, buffer, pyarrow.csv.WriteOptions(include_header=False))
    buffer.seek(0)
    return buffer


def copy_csv(connection: Connection, table: str, columns: Sequence[str], text: io.BytesIO) -> None:
    """COPY text of `as_csv` into columns of a table."""
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(command, text)


def copy_out(
    connection: Connection, query: sql.Composable, types: Mapping[str, pa.DataType]
) -> pa.Table:
    """COPY a query's rows out as an Arrow table whose columns have the given names and types."""
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
