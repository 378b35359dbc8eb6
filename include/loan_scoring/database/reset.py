"""Delete all that the database and the data folder hold of a portfolio, but its audit log."""

import logging
import shutil
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.audit import record_entry
from loan_scoring.database.migrations import migrate_schema, recreate_schema
from loan_scoring.database.refusals import one_line_refusals
from loan_scoring.database.schema_state import read_state
from loan_scoring.database.session import Session
from loan_scoring.errors import DatabaseError, StateError

log = logging.getLogger(__name__)

LOCK_SECONDS = 5
"""So long a reset waits for work in the schema to end."""


def reset_portfolio(portfolio: str, url: str, confirm: str | None, user: str) -> dict[str, int]:
    """Set a portfolio's schema up anew, and return how much was deleted.

    Files in the landing folder stay, and the entries of the audit log.

    Args:
        portfolio: name of the portfolio.
        url: database URL of the role that owns the schema.
        confirm: name of the portfolio once more. It is needed if a batch was published.
        user: who resets, for the audit log.

    Raises:
        ContractError: the portfolio has no contract, or it is not valid.
        StateError: a batch was published, and `confirm` is not the portfolio's name.
        DatabaseError: the role does not own the schema, or other work is in the way.
    """
    loaded = contract.load(portfolio)
    with closing(database.connect(portfolio, url)) as connection, one_line_refusals(connection):
        if read_state(connection) is None:
            migrate_schema(connection, loaded)
        try:
            with database.transaction(connection):
                kept = _recreate(connection, loaded, confirm, user)
        except psycopg2.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"the database role may not set up schema {portfolio} anew: "
                f"{str(error).splitlines()[0]}; set LOAN_SCORING_OWNER_URL to its owner's URL"
            ) from error
    for folder in (settings.artifacts_dir(portfolio), settings.quality_dir(portfolio)):
        shutil.rmtree(folder, ignore_errors=False) if folder.is_dir() else None
    return kept


def _recreate(
    connection: Connection, loaded: Contract, confirm: str | None, user: str
) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    database.lock(connection, "migrations")
    kept = _count(connection)
    if kept["published_batches"] and confirm != loaded.portfolio:
        shown = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in kept.items())
        raise StateError(
            f"{loaded.portfolio} holds {shown}; to delete all of it for ever, add "
            f"--confirm {loaded.portfolio} (`loan-scoring backup --to FOLDER` keeps a copy)"
        )
    recreate_schema(connection, loaded)
    record_entry(Session(loaded, connection), user, "portfolio.reset", loaded.portfolio, kept)
    return kept


def _count(connection: Connection) -> dict[str, Any]:
    found = database.row(connection, "count_what_is_kept")
    assert found is not None  # noqa: S101 - SELECT without FROM always gives one row
    return found
