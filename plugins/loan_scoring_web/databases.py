"""Open the database sessions of the pages and the API.

Sessions that only read use the reader role, which cannot write. If the reader role has no Airflow
connection, these sessions use the role of the stages in read-only transactions.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Annotated, Any

import psycopg2
from airflow.exceptions import AirflowNotFoundException
from airflow.models.connection import Connection
from fastapi import Depends

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.readings import record_reading
from loan_scoring.database.schema_state import read_state
from loan_scoring.database.session import Session, session_on
from loan_scoring.errors import DatabaseError, LoanScoringError, NotSetUpError
from loan_scoring_web.connections import kept_connection
from loan_scoring_web.rights import Admin, Operator, Reader, same_site

log = logging.getLogger("loan_scoring.web")

URL_SECONDS = 5
MAIN, READER = "loan_scoring", "loan_scoring_reader"
CONNECT_SECONDS = 3
READ = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",
}
"""Postgres parameters of a connection that only reads.

JIT is off because the queries of a page are short. Compiling such a query takes more time than the
compiled query saves.
"""
WRITE = {"statement_timeout": "30s", "lock_timeout": "5s"}
"""Postgres parameters of a connection that writes.

The time-outs are short so that a page does not wait long for a stage that holds a lock.
"""


def connection_url(name: str) -> str | None:
    """Return the URL of an Airflow connection. Return None if the connection does not exist.

    A changed connection is seen within URL_SECONDS.
    """
    named = os.environ.get(f"AIRFLOW_CONN_{name.upper()}")
    return _connection_url(name, named, int(time.monotonic() / URL_SECONDS))


@lru_cache(maxsize=16)
def _connection_url(name: str, _named: str | None, _period: int) -> str | None:
    try:
        return Connection.get_connection_from_secrets(name).get_uri()
    except AirflowNotFoundException:
        return None


def main_url() -> str:
    """Return the URL of the portfolio database for the role that the stages use.

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
    """Return the URL of the portfolio database for sessions that only read.

    This is the URL of the Airflow connection `loan_scoring_reader`. If this connection does not
    exist, the URL is `main_url()`.
    """
    return connection_url(READER) or main_url()


def current_contract(portfolio: str) -> Contract:
    """Return the contract of a portfolio from a cache, which is valid until the file changes.

    The cache is needed because parsing the file takes longer than building most pages.
    """
    stat = (settings.portfolios_dir() / f"{portfolio}.yaml").stat()
    return _read(portfolio, str(settings.portfolios_dir()), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _read(portfolio: str, _folder: str, _changed: int, _size: int) -> Contract:
    return contract.load(portfolio)


SameSite = Annotated[None, Depends(same_site)]


@contextmanager
def read_session(portfolio: str) -> Iterator[Session]:
    """Open a session with read-only transactions. Opening this session does not migrate tables.

    Raises:
        NotSetUpError: the portfolio has no tables yet.
        DatabaseError: the database cannot be reached, a table or column is missing, a query
            exceeded the time-out, or the connection was lost.
    """
    loaded = current_contract(portfolio)
    with (
        kept_connection(portfolio, reader_url(), CONNECT_SECONDS, READ) as connection,
        _one_line(portfolio, connection),
    ):
        yield Session(loaded, connection)


@contextmanager
def _one_line(portfolio: str, connection: psycopg2.extensions.connection) -> Iterator[None]:
    try:
        yield
    except psycopg2.errors.UndefinedTable as error:
        connection.rollback()
        if read_state(connection) is None:
            raise NotSetUpError(
                f"the portfolio {portfolio} has no tables yet; `loan-scoring migrate` creates them"
            ) from error
        raise _not_migrated(portfolio, error) from error
    except psycopg2.errors.UndefinedColumn as error:
        raise _not_migrated(portfolio, error) from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(f"{database.location(connection)}: {reason}") from error


def _not_migrated(portfolio: str, error: psycopg2.Error) -> DatabaseError:
    reason = str(error).splitlines()[0]
    return DatabaseError(
        f"the tables of {portfolio} are missing or out of date ({reason}); "
        "`loan-scoring migrate` brings them up to date"
    )


def reading(_: Reader, portfolio: str) -> Iterator[Session]:
    """Provide a route with a read-only session, for users who may see the portfolio."""
    with read_session(portfolio) as session:
        yield session


@contextmanager
def write_session(portfolio: str) -> Iterator[Session]:
    """Open a session that can write. Opening this session does not migrate tables."""
    loaded = current_contract(portfolio)
    with (
        kept_connection(portfolio, main_url(), CONNECT_SECONDS, WRITE) as connection,
        session_on(connection, loaded, migrates=False) as session,
    ):
        yield session


def record_read(portfolio: str, user: str, loan_id: Any, place: str) -> None:
    """Record in table `readings` that a user read the record of one applicant.

    The page's own session cannot write. If the reading cannot be recorded, the page is not shown.

    Raises:
        DatabaseError: the database cannot be written.
    """
    loaded = current_contract(portfolio)
    try:
        with kept_connection(portfolio, main_url(), CONNECT_SECONDS, WRITE) as connection:
            record_reading(Session(loaded, connection), user, loan_id, place)
    except psycopg2.Error as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(
            f"the reading of one applicant's record cannot be recorded: {reason}"
        ) from error


def operating(_: Operator, __: SameSite, portfolio: str) -> Iterator[Session]:
    """Provide a route with a session that can write, for users with the role User, Op or Admin."""
    with write_session(portfolio) as session:
        yield session


def administering(_: Admin, __: SameSite, portfolio: str) -> Iterator[Session]:
    """Provide a route with a session that can write, for users with the role Admin."""
    with write_session(portfolio) as session:
        yield session


# With scope "function" the connection is closed before the response is sent. Otherwise a slow
# client would keep the connection open until the client has received the whole response.
Reading = Annotated[Session, Depends(reading, scope="function")]
Operating = Annotated[Session, Depends(operating, scope="function")]
Administering = Annotated[Session, Depends(administering, scope="function")]


def log_database_at_start() -> None:
    """Log in one line whether the portfolio database can be reached.

    If the database cannot be reached, this check delays the start of the API server by up to 3 s.
    A thread could not run the check meanwhile, because the thread would wait for the import lock
    until the start is over.
    """
    valid, broken = contract.load_all()
    for why in broken.values():
        log.error("loan-scoring pages: %s; the pages of other portfolios work", why)
    if not valid:
        return
    try:
        with read_session(valid[0].portfolio) as session:
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
