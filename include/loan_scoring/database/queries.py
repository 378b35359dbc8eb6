"""Run named queries, transactions and locks on an open connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from loan_scoring import settings
from loan_scoring.errors import DatabaseError

Row = dict[str, Any]


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
    """Run a named query and return its first row; None if it has none."""
    found = rows(connection, name, **values)
    return found[0] if found else None


def execute(connection: Connection, name: str, **values: Any) -> int:
    """Run a named statement and return the number of rows that it affected."""
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
    """Commit the block as one transaction, or roll it back if it fails."""
    try:
        yield
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    connection.commit()


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Run the block on one snapshot of the database, read-only."""
    connection.commit()  # an earlier query would have fixed an earlier snapshot
    with transaction(connection), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def lock(connection: Connection, subject: str) -> None:
    """Take the advisory lock of a subject in this schema until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || %s, 0))",
            (subject,),
        )
