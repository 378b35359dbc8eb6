"""Run named queries on an open connection, and manage transactions and locks.

The name of a query is the name of its file in sql/queries, without the ending.
"""

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
    """Return the SQL text of the named query, which is the file sql/queries/NAME.sql."""
    return (settings.home() / "sql" / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def rows(connection: Connection, name: str, **values: Any) -> list[Row]:
    """Run a named query and return its rows as dictionaries from column name to value."""
    with connection.cursor() as cursor:
        cursor.execute(statement(name), values)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def row(connection: Connection, name: str, **values: Any) -> Row | None:
    """Run a named query and return its first row. Return None if there are no rows."""
    found = rows(connection, name, **values)
    return found[0] if found else None


def execute(connection: Connection, name: str, **values: Any) -> int:
    """Run a named query and return the number of rows that were inserted, updated or deleted."""
    with connection.cursor() as cursor:
        cursor.execute(statement(name), values)
        return int(cursor.rowcount)


_OPEN_ANSWER = """
DO $$
DECLARE
    answer refcursor := 'answer';
BEGIN
    OPEN answer FOR EXECUTE current_setting('loan_scoring.query');
END $$
"""


def select_read_only(connection: Connection, query: str) -> tuple[list[str], list[list[Any]]]:
    """Run a user's query in a read-only transaction. Return the column names and the rows.

    Postgres opens the query as a cursor, which takes one statement that returns rows. So a text
    such as `commit; delete from loans` cannot end the read-only transaction.

    Raises:
        DatabaseError: Postgres refuses the query. The error shows the first line of Postgres's
            error message.
    """
    try:
        with transaction(connection), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            # All rows are fetched, so the planner must not prefer a plan with quick first rows.
            cursor.execute("SET LOCAL cursor_tuple_fraction = 1")
            cursor.execute("SELECT set_config('loan_scoring.query', %s, true)", (query,))
            cursor.execute(_OPEN_ANSWER)
            cursor.execute("FETCH ALL FROM answer")
            if cursor.description is None:
                return [], []
            return [column.name for column in cursor.description], [*map(list, cursor.fetchall())]
    except psycopg2.errors.InvalidCursorDefinition as error:
        found = str(error).splitlines()[0]
        raise DatabaseError(
            f"Postgres: {found}; give one statement that returns rows, such as a SELECT"
        ) from error
    except psycopg2.Error as error:
        raise DatabaseError(f"Postgres: {str(error).strip().splitlines()[0]}") from error


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Run the block as one transaction. Commit at its end, or roll back if the block fails."""
    try:
        yield
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
    connection.commit()


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Run the block in a read-only transaction whose queries all see the same snapshot."""
    connection.commit()  # because the isolation level must be set before the first query
    with transaction(connection), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def lock(connection: Connection, subject: str) -> None:
    """Wait for the advisory lock on a subject, and hold the lock until the transaction ends.

    Locks on the same subject in two schemas are independent.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || %s, 0))",
            (subject,),
        )
