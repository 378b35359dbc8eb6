"""Turn an error of Postgres that is no bug of ours into one line with its cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection

from loan_scoring.database.connection import location
from loan_scoring.errors import DatabaseError

ADMIN = "57P"
"""Prefix of Postgres's error codes for an ended connection, such as 57P01 (admin_shutdown)."""

READ_ONLY = "25006"

FOREIGN = "change or drop what depends on it first, then run the same command again"

CURES = {
    "2BP01": FOREIGN,
    "40001": "other work changed the same rows at the same time: run the same command again",
    "40P01": "other work and this one waited for each other: run the same command again",
    "55P03": "other work holds a lock: run the same command again when that work is done; "
    "docs/operations.md says how to see who holds it",
}
"""What to do, by Postgres's error code."""


@contextmanager
def one_line_refusals(connection: Connection) -> Iterator[None]:
    """Turn errors of the block that a user can mend into a DatabaseError.

    A refused statement of another kind is a bug in our code, so its error is raised as it is.

    Args:
        connection: connection of the block. The block may use other connections too.

    Raises:
        DatabaseError: the connection is lost, the server only reads, other work is in the way, or
            another psycopg2.OperationalError.
    """
    place = location(connection)
    try:
        yield
    except psycopg2.Error as error:
        line = _line(error, connection, place)
        if line is None:
            raise
        raise DatabaseError(line) from error


def _line(error: psycopg2.Error, connection: Connection, place: str) -> str | None:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if error.pgcode == READ_ONLY:
        return f"the database at {place} only reads ({reason}): {_read_only_cure(connection)}"
    cure = FOREIGN if "used by a view" in reason else CURES.get(error.pgcode or "")
    if cure is not None:
        detail = (error.diag.message_detail or "").splitlines()
        more = f" ({detail[0]})" if detail else ""
        return f"work failed in the database at {place}: {reason}{more}; {cure}"
    # The block may use a second connection. If only the second connection is lost,
    # connection.closed is 0, so the error's type and code are examined as well.
    is_lost = connection.closed or (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        and (error.pgcode or ADMIN).startswith(ADMIN)
    )
    if not is_lost and not isinstance(error, psycopg2.OperationalError):
        return None
    what = "lost the database at" if is_lost else "work failed in the database at"
    return (
        f"{what} {place}: {reason}; what was not committed is undone: check that Postgres"
        " is well, then run the same command again"
    )


def _read_only_cure(connection: Connection) -> str:
    if connection.info.parameter_status("in_hot_standby") == "on":
        return "the server is a standby; name the primary server in the URL"
    return (
        "default_transaction_read_only is on for the server, the database or the role; switch it "
        "off there, for example with ALTER DATABASE ... RESET default_transaction_read_only"
    )
