"""Create and lock MLflow's schema, and return its URL."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import connection as Connection
from sqlalchemy.engine import URL

from loan_scoring import database
from loan_scoring.database.connection import ALIVE, TLS, server_options
from loan_scoring.database.roles import MLFLOW_SCHEMA, mlflow_grants
from loan_scoring.database.session import Session

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


@contextmanager
def mirror_lock(session: Session) -> Iterator[None]:
    """Hold a lock while copying to MLflow, and create MLflow's schema if it is missing.

    The lock lets only one process copy at a time, for all portfolios together. After the block
    the role of MLflow's server, if it exists, may read all tables.
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
            cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (database.MLFLOW,))
            if cursor.rowcount:
                cursor.execute(mlflow_grants())
            other.commit()
    finally:
        other.close()


def mlflow_url(connection: Connection, *, only_reads: bool = False) -> str:
    """Return the database URL, with password, whose search path is MLflow's schema.

    Args:
        connection: connection with the role, the server and the database of the URL.
        only_reads: whether transactions refuse to write.
    """
    info = connection.info
    parameters = info.dsn_parameters
    names = (*TLS, *ALIVE)
    kept: dict[str, str] = {name: parameters[name] for name in names if name in parameters}
    # MLflow's server keeps idle connections for as long as it runs.
    settings = {"idle_session_timeout": "0"}
    if only_reads:
        settings["default_transaction_read_only"] = "on"
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
            "options": server_options(MLFLOW_SCHEMA, settings),
        },
    ).render_as_string(hide_password=False)
