"""Create a temporary database in the embedded Postgres, and drop this database after use."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres import embedded


@contextmanager
def throwaway_database(name: str, template: str | None = None) -> Iterator[str]:
    """Create a temporary database, yield its URL to the block, then drop the database.

    The embedded Postgres is started if needed. In this case the server is stopped at the end.

    Args:
        name: name of the new database. If a killed run left a database of this name, that database
            is dropped first.
        template: name of a database to copy. No session may be connected to the template. If None,
            the new database is empty.

    Raises:
        DatabaseError: the server does not start, or another run uses the database.
    """
    server = embedded()
    was_running = server.is_running()
    server.start()
    ours = sql.Identifier(name)
    copy = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
    try:
        with closing(psycopg2.connect(server.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                try:
                    # Do not use WITH (FORCE), because FORCE would end the sessions of another run
                    # that uses this database. Without FORCE, Postgres raises ObjectInUse.
                    cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(ours))
                    cursor.execute(
                        sql.SQL("CREATE DATABASE {} OWNER loan_scoring").format(ours) + copy
                    )
                except psycopg2.errors.ObjectInUse as error:
                    raise DatabaseError(
                        f"the database {name} is in use; wait for the other run to end"
                    ) from error
                try:
                    yield urlsplit(server.url("loan_scoring"))._replace(path=f"/{name}").geturl()
                finally:
                    cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(ours))
    finally:
        if not was_running:
            server.stop()
