"""Open sessions: a portfolio's contract with a connection to its migrated schema."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.migrations import is_behind, migrate_schema
from loan_scoring.errors import DatabaseError

ADMIN = "57P"
"""First characters of Postgres's error codes for a connection that the server ends."""


@dataclass(frozen=True)
class Session:
    """A portfolio's contract, and an open connection whose search_path is its schema."""

    contract: Contract
    connection: Connection

    def under(self, run: Mapping[str, Any]) -> "Session":
        """Return the session with the policy of a scoring run's plan."""
        return replace(self, contract=self.contract.under(run["policy"]))


@contextmanager
def open_session(
    portfolio: str,
    url: str,
    *,
    within_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
    migrates: bool = True,
) -> Iterator[Session]:
    """Yield a session on a portfolio's migrated schema, and close it at the end.

    Args:
        url: as for `database.connect`, like `within_seconds` and `parameters`.
        migrates: if False, refuse a schema that is behind instead of migrating it.

    Raises:
        ContractError: no such portfolio, or a mistake in its contract.
        DatabaseError: no server answers, the schema cannot be migrated, or the connection is lost.
    """
    loaded = contract.load(portfolio)
    connection = database.connect(portfolio, url, within_seconds, parameters)
    place = database.location(connection)
    try:
        if migrates:
            _migrate(connection, loaded)
        elif is_behind(connection, loaded):
            raise DatabaseError(
                f"the schema of {portfolio} is behind its contract or this release; "
                f"`loan-scoring status --portfolio {portfolio}` sets it up"
            )
        yield Session(loaded, connection)
    except psycopg2.Error as error:
        # The error may come from another connection, which is lost while this one is not.
        is_lost = connection.closed or (
            isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
            and (error.pgcode or ADMIN).startswith(ADMIN)
        )
        if not is_lost and not isinstance(error, psycopg2.OperationalError):
            raise  # a refused statement is a mistake in our code: show its traceback
        what = "lost the database at" if is_lost else "work failed in the database at"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(
            f"{what} {place}: {reason}; what was not committed is undone: check that Postgres"
            " is well, then run the same command again"
        ) from error
    finally:
        connection.close()


def _migrate(connection: Connection, loaded: Contract) -> None:
    """Migrate as the owner if LOAN_SCORING_OWNER_URL names this database, else as this role."""
    owner_url = settings.owner_url()
    if owner_url is not None:
        with closing(database.connect(loaded.portfolio, owner_url)) as owner:
            if _database(owner) == _database(connection):
                migrate_schema(owner, loaded)
                return
    migrate_schema(connection, loaded)


def _database(connection: Connection) -> tuple[str, int, str]:
    info = connection.info
    return info.host, info.port, info.dbname
