"""Database sessions of the pages and the API.

If the Airflow connection of the reader role exists, sessions that only read use this role, which
cannot write.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Annotated

import psycopg2
from airflow.exceptions import AirflowNotFoundException
from airflow.models.connection import Connection
from fastapi import Depends

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import DatabaseError, LoanScoringError
from loan_scoring_web.rights import Admin, Operator, Reader, same_site

log = logging.getLogger("loan_scoring.web")

MAIN, READER = "loan_scoring", "loan_scoring_reader"
CONNECT_SECONDS = 3
READ = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",
}
"""Postgres parameters of a connection that only reads.

JIT is off because compiling takes longer than it saves on queries as short as those of a page.
"""
WRITE = {"statement_timeout": "30s", "lock_timeout": "5s"}
"""Postgres parameters of a connection that writes.

The time-outs are short so that a page fails instead of waiting for a stage that holds a lock.
"""


def connection_url(name: str) -> str | None:
    """Return the URL of an Airflow connection. Return None if there is no such connection."""
    try:
        return Connection.get_connection_from_secrets(name).get_uri()
    except AirflowNotFoundException:
        return None


def main_url() -> str:
    """Return the URL of the portfolio database, with the database role that the stages use.

    Raises:
        DatabaseError: neither an Airflow connection nor the environment gives the URL.
    """
    url = connection_url(MAIN) or settings.database_url()
    if url is None:
        raise DatabaseError(
            f"no portfolio database is set: add the Airflow connection {MAIN}, or set "
            "LOAN_SCORING_DATABASE_URL for the API server"
        )
    return url


def reader_url() -> str:
    """Return the URL for sessions that only read.

    The URL is that of the reader role if its Airflow connection exists, otherwise `main_url()`.
    """
    return connection_url(READER) or main_url()


def current_contract(portfolio: str) -> Contract:
    """Return the contract of a portfolio, cached until the contract's file changes.

    Without the cache, parsing the file would take longer than building most pages.
    """
    stat = (settings.portfolios_dir() / f"{portfolio}.yaml").stat()
    return _read(portfolio, str(settings.portfolios_dir()), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _read(portfolio: str, _folder: str, _changed: int, _size: int) -> Contract:
    return contract.load(portfolio)


SameSite = Annotated[None, Depends(same_site)]


@contextmanager
def read_session(portfolio: str) -> Iterator[Session]:
    """Open a session whose transactions are read-only. The session does not migrate tables.

    Raises:
        DatabaseError: the database cannot be reached, a table or column is missing, a query
            exceeded the time-out, or the connection was lost.
    """
    loaded = current_contract(portfolio)
    connection = database.connect(portfolio, reader_url(), CONNECT_SECONDS, READ)
    try:
        yield Session(loaded, connection)
    except psycopg2.errors.UndefinedTable as error:
        raise _not_migrated(portfolio, error) from error
    except psycopg2.errors.UndefinedColumn as error:
        raise _not_migrated(portfolio, error) from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(f"{database.location(connection)}: {reason}") from error
    finally:
        connection.close()


def _not_migrated(portfolio: str, error: psycopg2.Error) -> DatabaseError:
    reason = str(error).splitlines()[0]
    return DatabaseError(
        f"the tables of {portfolio} are missing or out of date ({reason}); "
        f"`loan-scoring status --portfolio {portfolio}` sets them up"
    )


def reading(_: Reader, portfolio: str) -> Iterator[Session]:
    """Give a route a read-only session, if the user may see the portfolio."""
    with read_session(portfolio) as session:
        yield session


@contextmanager
def write_session(portfolio: str) -> Iterator[Session]:
    """Open a session that can write, with short time-outs. The session does not migrate tables."""
    with open_session(
        portfolio, main_url(), within_seconds=CONNECT_SECONDS, parameters=WRITE, migrates=False
    ) as session:
        yield session


def operating(_: Operator, __: SameSite, portfolio: str) -> Iterator[Session]:
    """Give a route a session that can write, if the user has the role User or Op (or Admin)."""
    with write_session(portfolio) as session:
        yield session


def administering(_: Admin, __: SameSite, portfolio: str) -> Iterator[Session]:
    """Give a route a session that can write, if the user is an Admin."""
    with write_session(portfolio) as session:
        yield session


# Scope "function" closes the connection before the response is sent. Otherwise a slow client would
# keep the connection open until the whole response has arrived.
Reading = Annotated[Session, Depends(reading, scope="function")]
Operating = Annotated[Session, Depends(operating, scope="function")]
Administering = Annotated[Session, Depends(administering, scope="function")]


def log_database_at_start() -> None:
    """Log in one line whether the portfolio database can be reached.

    If the database cannot be reached, connecting delays the server's start by up to 3 s. A thread
    would not avoid this, because the thread would wait for the import lock until the start is over.
    """
    portfolio = next(iter(contract.names()), None)
    if portfolio is None:
        return
    try:
        with read_session(portfolio) as session:
            place = database.location(session.connection)
    except LoanScoringError as error:
        log.error("loan-scoring pages: %s; Airflow works without it", error)
        return
    log.info("loan-scoring pages read %s", place)
    if connection_url(READER) is None:
        log.warning(
            "loan-scoring pages read with the role of the stages, in read-only transactions: add "
            "the Airflow connection %s with a role that cannot write",
            READER,
        )
