"""What every stage works with: one portfolio's contract and a connection to its migrated schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from loan_scoring import contract, database, migrations
from loan_scoring.contract import Contract


@dataclass(frozen=True)
class Session:
    """A portfolio's contract, and an open connection whose search_path is its schema."""

    contract: Contract
    connection: Connection


@contextmanager
def open_session(portfolio: str, url: str | None = None) -> Iterator[Session]:
    """Open a session on a portfolio and close it at the end; the schema is migrated first.

    Raises:
        ContractError: no such portfolio, or a mistake in its contract.
        DatabaseError: no database, or it cannot be migrated.
    """
    loaded = contract.load(portfolio)
    connection = database.connect(portfolio, url)
    try:
        migrations.migrate(connection, loaded)
        yield Session(loaded, connection)
    finally:
        connection.close()
