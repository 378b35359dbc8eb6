"""A database of the embedded Postgres that is there for one piece of work and gone after it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres import embedded


@contextmanager
def throwaway_database(name: str, template: str | None = None) -> Iterator[str]:
    """Create the database, yield its URL, drop it; the server is left as it was, on or off.

    Args:
        name: what a killed run may have left of it is dropped first.
        template: a database without connections that it begins as a copy of.

    Raises:
        DatabaseError: the server does not start, or another run is using the database.
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
                    # One that runs holds a connection to it.
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
