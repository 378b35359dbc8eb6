"""Open connections to Postgres and convert database URLs."""

import os
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import immutabledict

from loan_scoring.errors import DatabaseError

OWNER = "loan_scoring"
"""The role that owns the schemas, migrates them and drops old months (docs/adr/0024)."""

APPLICATION = "loan_scoring_app"
"""The role of the stages, if the server has one apart from the owner."""

READER = "loan_scoring_reader"
"""The role of analysts: it may select from views and tables and nothing else."""

ALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "300000",
}
"""Parameters by which a connection notices that its server is gone; a URL may override them.

Without them, work waits for hours on a host that lost power. Unanswered data or probes end a
connection after `tcp_user_timeout` milliseconds if the system supports it, as Linux does, else
after keepalives_count probes. It is five minutes because it also ends the connection to a server
that runs but reads nothing, such as one that waits for a lock during a COPY.
"""


def connect(
    portfolio: str,
    url: str,
    within_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Open a connection whose search_path is the portfolio's schema.

    Args:
        url: of the database, with user and password, in the form of SQLAlchemy or Airflow.
        within_seconds: time limit for connecting; by default that of the URL or of `ALIVE`.
        parameters: server settings for this connection, such as statement_timeout.

    Raises:
        DatabaseError: the URL is not valid, or no server answers there.
    """
    dsn = libpq_url(url)
    server_settings = {"search_path": portfolio, "timezone": "UTC", **(parameters or {})}
    arguments: dict[str, Any] = {
        **ALIVE,
        **libpq_parameters(dsn),
        "application_name": "loan-scoring",
        "options": " ".join(f"-c {name}={value}" for name, value in server_settings.items()),
    }
    if within_seconds is not None:
        arguments["connect_timeout"] = within_seconds
    try:
        connection: Connection = psycopg2.connect(**arguments)
    except psycopg2.Error as error:
        raise _no_database(dsn, str(error)) from error
    return connection


def libpq_parameters(url: str) -> dict[str, str]:
    """Return the parameters in a database URL by libpq's names, such as sslmode.

    Raises:
        DatabaseError: not the URL of a Postgres database, or libpq does not know an option.
    """
    dsn = libpq_url(url)
    try:
        return dict(parse_dsn(dsn))
    except psycopg2.ProgrammingError as error:  # Airflow nests JSON, which libpq does not read
        advice = "; write each option by its own name, such as ?sslmode=require"
        raise _no_database(dsn, f"{error}{advice}") from error


def _no_database(dsn: str, reason: str) -> DatabaseError:
    line = " ".join(reason.split())
    return DatabaseError(f"no database at {without_password(dsn)}: {line}")


TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""Parameters that programs of Postgres need for the same encryption and certificates."""


def libpq_environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with which a program of Postgres connects by libpq's parameters.

    Not arguments: any user of the machine could read the password in them.
    """
    names = ("host", "hostaddr", "port", "user", "password", "connect_timeout", *TLS)
    variables = {"dbname": "PGDATABASE"} | {name: f"PG{name.upper()}" for name in names}
    return {
        **os.environ,
        **{variables[name]: value for name, value in parameters.items() if name in variables},
    }


def connect_beside(connection: Connection) -> Connection:
    """Open another connection to the same database and schema as the same role."""
    known = connection.info
    parameters: dict[str, Any] = {**known.dsn_parameters, "password": known.password}
    other: Connection = psycopg2.connect(**parameters)
    return other


def location(connection: Connection) -> str:
    """Return the URL, without password, of the database that a connection is open to."""
    known = connection.info
    return f"postgresql://{known.user}@{known.host}:{known.port}/{known.dbname}"


def libpq_url(url: str) -> str:
    """Return the URL for libpq of a URL in the form of SQLAlchemy or Airflow.

    Raises:
        DatabaseError: not the URL of a Postgres database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # a ValueError if the port is not a number
        raise DatabaseError(
            "the database URL is not valid: write postgresql://user:password@host:port/name"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseError(
            f"the database is {parsed.get_backend_name()}; loan-scoring needs postgresql://..."
        )
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """Return a URL that can be shown in a log or on a screen."""
    parsed = make_url(url)
    shown = {name: value for name, value in parsed.query.items() if name in ("host", "port")}
    # set(password=None) would keep the password.
    return parsed._replace(password=None, query=immutabledict(shown)).render_as_string()
