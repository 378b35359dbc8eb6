"""Create and lock MLflow's schema, and return its URL and the environment of `mlflow ui`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL

from loan_scoring import database
from loan_scoring.database.connection import ALIVE, TLS, server_options
from loan_scoring.database.roles import MLFLOW_SCHEMA
from loan_scoring.database.session import Session

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def ui_environment(session: Session) -> dict[str, str]:
    """Return the environment variables with which to start `mlflow ui`.

    The variables contain the password of the database.
    """
    with mirror_lock(session):
        pass  # mirror_lock creates the schema, which MLflow needs even before the first training
    return {**os.environ, **QUIET, "MLFLOW_BACKEND_STORE_URI": mlflow_url(session)}


@contextmanager
def mirror_lock(session: Session) -> Iterator[None]:
    """Hold a lock while copying to MLflow, and create MLflow's schema if it is missing.

    The lock lets only one process copy at a time, for all portfolios together.
    """
    other = database.connect_beside(session.connection)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (MLFLOW_SCHEMA,))
            cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (MLFLOW_SCHEMA,))
            # CREATE SCHEMA IF NOT EXISTS is not used, because it needs the right to create schemas
            # even if the schema exists.
            if not cursor.rowcount:
                cursor.execute(f"CREATE SCHEMA {MLFLOW_SCHEMA}")
                cursor.execute(
                    f"COMMENT ON SCHEMA {MLFLOW_SCHEMA} IS 'Tables of MLflow: a mirror of the "
                    "portfolios'' trials, models and promotions, which decides nothing'"
                )
            other.commit()
        yield
    finally:
        other.close()


def mlflow_url(session: Session) -> str:
    """Return the database URL, with password, whose search path is MLflow's schema."""
    info = session.connection.info
    parameters = info.dsn_parameters
    names = (*TLS, *ALIVE)
    kept: dict[str, str] = {name: parameters[name] for name in names if name in parameters}
    return URL.create(
        "postgresql+psycopg2",
        username=info.user,
        password=info.password,
        host=info.host,
        port=info.port,
        database=info.dbname,
        query={
            **kept,
            "client_encoding": "UTF8",
            # MLflow's server keeps idle connections for as long as it runs.
            "options": server_options(MLFLOW_SCHEMA, {"idle_session_timeout": "0"}),
        },
    ).render_as_string(hide_password=False)
