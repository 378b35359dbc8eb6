"""The portfolio database behind the pages: read by a role that cannot write."""

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
"""What a reading connection is opened with, whatever its role may do.

Nothing that a page asks is worth compiling."""
WRITE = {"statement_timeout": "30s", "lock_timeout": "5s"}
"""What a writing connection is opened with: a night that holds a lock may not hold up the pages."""


def connection_url(name: str) -> str | None:
    """Return the URL of an Airflow connection, None where there is none."""
    try:
        return Connection.get_connection_from_secrets(name).get_uri()
    except AirflowNotFoundException:
        return None


def main_url() -> str:
    """Return the URL of the portfolio database as stages use it.

    Raises:
        DatabaseError: none is named.
    """
    url = connection_url(MAIN) or settings.database_url()
    if url is None:
        raise DatabaseError(
            f"no portfolio database is named: make the Airflow connection {MAIN}, or set "
            "LOAN_SCORING_DATABASE_URL for the API server"
        )
    return url


def reader_url() -> str:
    """Return the URL that pages read by: of a role that cannot write, where there is one."""
    return connection_url(READER) or main_url()


def known(portfolio: str) -> Contract:
    """Return the contract of a portfolio as its file says; it is read anew where that changed.

    Reading it takes longer than most pages.
    """
    told = (settings.portfolios_dir() / f"{portfolio}.yaml").stat()
    return _read(portfolio, str(settings.portfolios_dir()), told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=16)
def _read(portfolio: str, _folder: str, _changed: int, _size: int) -> Contract:
    return contract.load(portfolio)


SameSite = Annotated[None, Depends(same_site)]


@contextmanager
def read_session(portfolio: str) -> Iterator[Session]:
    """Open a session whose every transaction is read only; nothing is migrated.

    Raises:
        DatabaseError: no database, no tables, or it took too long or went away.
    """
    loaded = known(portfolio)
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
        f"the tables of {portfolio} are not what the pages read ({reason}); "
        f"`loan-scoring status --portfolio {portfolio}` sets them up"
    )


def reading(_: Reader, portfolio: str) -> Iterator[Session]:
    """Give a route a session to read with, for who may see the portfolio."""
    with read_session(portfolio) as session:
        yield session


@contextmanager
def write_session(portfolio: str) -> Iterator[Session]:
    """Open a session that waits for nothing for long; nothing is migrated by a request."""
    with open_session(
        portfolio, main_url(), within_seconds=CONNECT_SECONDS, parameters=WRITE, migrates=False
    ) as session:
        yield session


def operating(_: Operator, __: SameSite, portfolio: str) -> Iterator[Session]:
    """Give a route that takes a form a session to write with, for User and Op."""
    with write_session(portfolio) as session:
        yield session


def administering(_: Admin, __: SameSite, portfolio: str) -> Iterator[Session]:
    """Give a route that takes a form a session to write with, for an Admin."""
    with write_session(portfolio) as session:
        yield session


# A connection is closed before the answer is sent: a slow reader of it would hold it otherwise.
Reading = Annotated[Session, Depends(reading, scope="function")]
Operating = Annotated[Session, Depends(operating, scope="function")]
Administering = Annotated[Session, Depends(administering, scope="function")]


def tell_at_start() -> None:
    """Say in one line of the log whether the database answers; a start waits for it 3 s at most.

    In a thread of its own it would wait, with the start, for modules that are being imported.
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
            "loan-scoring pages read with the role of the stages, in read-only transactions: make "
            "the Airflow connection %s for a role that cannot write",
            READER,
        )
