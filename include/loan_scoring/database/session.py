"""What every stage works with: one portfolio's contract and a connection to its migrated schema."""

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
"""What Postgres's codes of an ended connection begin with; it may be too dead to give one."""


@dataclass(frozen=True)
class Session:
    """A portfolio's contract, and an open connection whose search_path is its schema."""

    contract: Contract
    connection: Connection

    def under(self, run: Mapping[str, Any]) -> "Session":
        """Return the session with the policy that a scoring run was planned under."""
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
    """Open a session on a portfolio and close it at the end; the schema is migrated first.

    Args:
        url: as `database.connect` has it, like `within_seconds` and `parameters`.
        migrates: False refuses a schema that is behind instead of migrating it.

    Raises:
        ContractError: no such portfolio, or a mistake in its contract.
        DatabaseError: no database, or it cannot be migrated, or it went away under the work.
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
        # Work beside others has connections of its own, which may be lost while this one is not.
        is_lost = connection.closed or (
            isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
            and (error.pgcode or ADMIN).startswith(ADMIN)
        )
        if not is_lost and not isinstance(error, psycopg2.OperationalError):
            raise  # a statement that Postgres refuses is a mistake of ours: its traceback tells
        what = "lost the database at" if is_lost else "gave up work in the database at"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(
            f"{what} {place}: {reason}; what was not committed is undone: see that Postgres is"
            " well, then run the same again"
        ) from error
    finally:
        connection.close()


def _migrate(connection: Connection, loaded: Contract) -> None:
    """Migrate as the owner of the same database where one is named, else as the session's role."""
    owner_url = settings.owner_url()
    if owner_url is not None:
        with closing(database.connect(loaded.portfolio, owner_url)) as owner:
            if _database(owner) == _database(connection):
                migrate_schema(owner, loaded)
                return
    migrate_schema(connection, loaded)


def _database(connection: Connection) -> tuple[str, int, str]:
    known = connection.info
    return known.host, known.port, known.dbname
