"""A database of the embedded Postgres that is there for one bench and gone after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg2

from loan_scoring.errors import DatabaseError
from loan_scoring.local.postgres import embedded

NAME = "loan_scoring_bench"


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Create the database, yield its URL, drop it; the server is left as it was, on or off.

    Raises:
        DatabaseError: the server does not start, or another bench is running.
    """
    server = embedded()
    was_running = server.is_running()
    server.start()
    try:
        connection = psycopg2.connect(server.url("postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                # A killed bench leaves its database; one that runs holds a connection to it.
                cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")
                cursor.execute(f"CREATE DATABASE {NAME} OWNER loan_scoring")
        except psycopg2.errors.ObjectInUse as error:
            connection.close()
            raise DatabaseError(
                f"the database {NAME} is in use; wait for the other bench to end"
            ) from error
        try:
            yield urlsplit(server.url("loan_scoring"))._replace(path=f"/{NAME}").geturl()
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
            connection.close()
    finally:
        if not was_running:
            server.stop()
