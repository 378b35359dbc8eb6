"""Open a session, which is a portfolio's contract plus a connection to its migrated schema."""

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
"""Prefix of Postgres's error codes for an ended connection, such as 57P01 (admin_shutdown)."""


@dataclass(frozen=True)
class Session:
    """A portfolio's contract and an open connection whose search_path is the portfolio's schema."""

    contract: Contract
    connection: Connection

    def under(self, run: Mapping[str, Any]) -> "Session":
        """Return a session whose contract has the policy that a scoring run recorded.

        If the scoring run recorded no policy, the contract keeps its own policy.

        Args:
            run: the scoring run's row of table `scoring_runs`.
        """
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
    """Connect to a portfolio's schema, migrate the schema and yield a session.

    The connection is closed at the end of the block.

    Args:
        portfolio: name of the portfolio.
        url: database URL, as for `database.connect`.
        within_seconds: time limit for connecting, as for `database.connect`.
        parameters: server settings, as for `database.connect`.
        migrates: If True, migrate a schema that lacks migration steps. If False, raise an error
            instead.

    Raises:
        ContractError: the portfolio has no contract, or the contract is not valid.
        DatabaseError: the server cannot be reached, the schema lacks migration steps and cannot or
            may not be migrated, or the block ended with a lost connection or another
            psycopg2.OperationalError.
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
        # The block may use a second connection. If only the second connection is lost,
        # connection.closed is 0, so the error's type and code are examined as well.
        is_lost = connection.closed or (
            isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
            and (error.pgcode or ADMIN).startswith(ADMIN)
        )
        if not is_lost and not isinstance(error, psycopg2.OperationalError):
            raise  # because a refused statement is a bug in our code and needs a traceback
        what = "lost the database at" if is_lost else "work failed in the database at"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatabaseError(
            f"{what} {place}: {reason}; what was not committed is undone: check that Postgres"
            " is well, then run the same command again"
        ) from error
    finally:
        connection.close()


def _migrate(connection: Connection, loaded: Contract) -> None:
    """Migrate the schema as the owner in LOAN_SCORING_OWNER_URL, or else with `connection`.

    `connection` is used if the variable is not set or names another database.
    """
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
