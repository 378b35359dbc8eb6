"""Open connections to Postgres and convert database URLs between formats."""

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
"""The role that owns the schemas, migrates them and drops expired months (docs/adr/0024)."""

APPLICATION = "loan_scoring_app"
"""The role that runs the stages. If the server lacks this role, the owner runs the stages."""

READER = "loan_scoring_reader"
"""The role of analysts. This role may select from tables and views, and nothing else."""

ALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "300000",
}
"""libpq parameters that end a connection whose server is gone. A URL may override each parameter.

Without these parameters, work waits for hours if the server's host has lost power. If the server
acknowledges neither data nor probes, Linux ends the connection after `tcp_user_timeout`
milliseconds. Systems without this timeout end the connection after `keepalives_count` probes.

`tcp_user_timeout` is as long as five minutes because this timeout also ends the connection to a
server that runs but reads no data. For example, a server reads nothing while a COPY waits for a
lock.
"""


def connect(
    portfolio: str,
    url: str,
    within_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Open a connection whose search_path is the portfolio's schema.

    Args:
        portfolio: name of the portfolio, which is also the name of its schema.
        url: database URL with user and password, in the format of SQLAlchemy or Airflow.
        within_seconds: time limit for connecting. If None, the limit in the URL applies, or else
            the limit in `ALIVE`.
        parameters: server settings for this connection, such as statement_timeout.

    Raises:
        DatabaseError: the URL is not valid, or the server cannot be reached or refuses the login.
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
    """Return the connection parameters in a database URL, with libpq's names such as sslmode.

    Raises:
        DatabaseError: the URL does not name a Postgres database, or has an option that libpq does
            not know.
    """
    dsn = libpq_url(url)
    try:
        return dict(parse_dsn(dsn))
    except psycopg2.ProgrammingError as error:  # libpq cannot read Airflow's options in JSON
        advice = "; write each option by its own name, such as ?sslmode=require"
        raise _no_database(dsn, f"{error}{advice}") from error


def _no_database(dsn: str, reason: str) -> DatabaseError:
    line = " ".join(reason.split())
    return DatabaseError(f"no database at {without_password(dsn)}: {line}")


TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""libpq's parameters for TLS.

Postgres programs need these parameters, so that they connect with the same encryption and
certificates as this process.
"""


def libpq_environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables with which a Postgres program connects to a database.

    The result is this process's environment plus variables such as PGHOST and PGPASSWORD. The
    program must not get the password as an argument, because any user of the machine can read the
    arguments of a process.

    Args:
        parameters: connection parameters with libpq's names. Parameters other than host, login,
            database, connect_timeout and `TLS` are ignored.
    """
    names = ("host", "hostaddr", "port", "user", "password", "connect_timeout", *TLS)
    variables = {"dbname": "PGDATABASE"} | {name: f"PG{name.upper()}" for name in names}
    return {
        **os.environ,
        **{variables[name]: value for name, value in parameters.items() if name in variables},
    }


def connect_beside(connection: Connection) -> Connection:
    """Open a second connection to the database and schema of `connection`, as the same role."""
    known = connection.info
    parameters: dict[str, Any] = {**known.dsn_parameters, "password": known.password}
    other: Connection = psycopg2.connect(**parameters)
    return other


def location(connection: Connection) -> str:
    """Return the URL of a connection's database, without the password."""
    known = connection.info
    return f"postgresql://{known.user}@{known.host}:{known.port}/{known.dbname}"


def libpq_url(url: str) -> str:
    """Convert a database URL from the format of SQLAlchemy or Airflow to the format of libpq.

    Raises:
        DatabaseError: the URL is not valid, or does not name a Postgres database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError if the port is not a number
        raise DatabaseError(
            "the database URL is not valid: write postgresql://user:password@host:port/name"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseError(
            f"the database is {parsed.get_backend_name()}; loan-scoring needs postgresql://..."
        )
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """Return a database URL without its password, so that a log or a screen may show it.

    Query parameters other than host and port are removed too, because they may hold secrets.
    """
    parsed = make_url(url)
    shown = {name: value for name, value in parsed.query.items() if name in ("host", "port")}
    # URL.set() ignores an argument None, so that set(password=None) would keep the password.
    return parsed._replace(password=None, query=immutabledict(shown)).render_as_string()
