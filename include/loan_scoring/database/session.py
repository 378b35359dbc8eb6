"""Open a session, which is a portfolio's contract plus a connection to its schema."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg2.extensions import connection as Connection

from loan_scoring import contract, database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.migrations import migrate_schema
from loan_scoring.database.refusals import one_line_refusals
from loan_scoring.database.schema_state import read_state, refuse_behind


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
    migrates: bool | None = None,
) -> Iterator[Session]:
    """Connect to a portfolio's schema and yield a session, as in `session_on`.

    The connection is closed at the end of the block.

    Args:
        portfolio: name of the portfolio.
        url: database URL, as for `database.connect`.
        within_seconds: time limit for connecting, as for `database.connect`.
        parameters: server settings, as for `database.connect`.
        migrates: as for `session_on`.

    Raises:
        ContractError: the portfolio has no contract, or the contract is not valid.
        DatabaseError: the server cannot be reached, or as for `session_on`.
    """
    loaded = contract.load(portfolio)
    connection = database.connect(portfolio, url, within_seconds, parameters)
    with closing(connection), session_on(connection, loaded, migrates) as session:
        yield session


@contextmanager
def session_on(
    connection: Connection, loaded: Contract, migrates: bool | None = None
) -> Iterator[Session]:
    """Yield a session on an open connection to a portfolio's schema.

    One query checks whether the schema has what the contract and this release need.

    Args:
        connection: connection to the portfolio's schema.
        loaded: contract of the portfolio.
        migrates: what to do with a schema that lacks a migration step. By default, a schema that
            was never set up is set up, because nobody works in it, and any other one is refused.
            If True, the schema is migrated. If False, nothing is set up.

    Raises:
        DatabaseError: the schema lacks migration steps and cannot or may not be migrated, or the
            block ended with a lost connection, a server that only reads, or another
            psycopg2.OperationalError.
    """
    with one_line_refusals(connection):
        state = read_state(connection)
        if migrates or (migrates is None and state is None):
            _migrate(connection, loaded)
        else:
            refuse_behind(state, loaded)
        yield Session(loaded, connection)


def migrate_portfolio(portfolio: str, url: str) -> list[str]:
    """Migrate a portfolio's schema with the role in `url`, and return the applied steps.

    Raises:
        ContractError: the portfolio has no contract, or the contract is not valid.
        DatabaseError: as for `open_session`.
    """
    loaded = contract.load(portfolio)
    with (
        closing(database.connect(portfolio, url)) as connection,
        one_line_refusals(connection),
    ):
        return migrate_schema(connection, loaded)


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
