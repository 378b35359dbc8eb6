"""Keep the database connections of the pages and the API open between requests.

To connect takes longer than most queries of a request.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as NoneFreeError
from sqlalchemy.pool import QueuePool

from loan_scoring import database
from loan_scoring.errors import BusyError

KEPT, MOST = 4, 12
"""Connections of one process, role and portfolio: how many are kept open, and how many may be open.

Requests beyond MOST wait for at most WAIT_SECONDS.
"""
WAIT_SECONDS = 3
OLDEST_SECONDS = 600
"""Age from which a connection is replaced, so that a revoked login ends in busy times too."""
IDLE_TIMEOUT = "60s"
"""Time after which Postgres ends a kept connection that no request uses."""


@contextmanager
def kept_connection(
    portfolio: str, url: str, within_seconds: int, parameters: Mapping[str, str]
) -> Iterator[Connection]:
    """Lend an open connection to the block, as `database.connect` opens it.

    At the end of the block, an open transaction is rolled back. A connection that was lost is not
    lent again. Blocks may change settings and take locks only until the end of a transaction.

    Raises:
        BusyError: all connections are in use.
        DatabaseError: as for `database.connect`.
    """
    pool = _pool(os.getpid(), portfolio, url, within_seconds, tuple(sorted(parameters.items())))
    try:
        lent = pool.connect()
    except NoneFreeError as error:
        raise BusyError(
            f"{MOST} requests are using the database, for {WAIT_SECONDS} s now; try again"
        ) from error
    connection: Any = lent.dbapi_connection
    try:
        yield connection
    finally:
        _take_back(lent, connection)


def _take_back(lent: Any, connection: Connection) -> None:
    try:
        if not connection.closed:
            if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                connection.rollback()
            connection.autocommit = False
    except psycopg2.Error:
        lent.invalidate()
        return
    if connection.closed:
        lent.invalidate()
    lent.close()


@lru_cache(maxsize=64)
def _pool(
    process: int,  # noqa: ARG001 - a forked process must not use the connections of its parent
    portfolio: str,
    url: str,
    within_seconds: int,
    parameters: tuple[tuple[str, str], ...],
) -> QueuePool:
    settings = {**dict(parameters), "idle_session_timeout": IDLE_TIMEOUT}
    pool = QueuePool(
        lambda: database.connect(portfolio, url, within_seconds, settings),  # type: ignore[arg-type, return-value]
        pool_size=KEPT,
        max_overflow=MOST - KEPT,
        timeout=WAIT_SECONDS,
        recycle=OLDEST_SECONDS,
        reset_on_return=None,
        use_lifo=True,  # so that connections which are not needed become idle
    )
    event.listen(pool, "checkout", _refuse_lost)
    return pool


def _refuse_lost(connection: Connection, _record: Any, _lent: Any) -> None:
    """Let the pool open a new connection if Postgres has ended this one."""
    try:
        connection.autocommit = True  # because a transaction would cost two more round trips
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.autocommit = False
    except psycopg2.Error as error:
        raise DisconnectionError from error
