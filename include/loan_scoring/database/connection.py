"""Connect to Postgres, and read the URLs that name a database."""

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
"""The role of the stages, where the server tells it from the owner."""

READER = "loan_scoring_reader"
"""The role of analysts: it may select from views and tables and nothing else."""

ALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "300000",
}
"""How a connection learns that its server has gone without a word; a URL may say otherwise.

Without, work waits for hours on a host that lost its power. Unanswered data or probes end a
connection after `tcp_user_timeout` milliseconds where the system knows it, as Linux does, else
after keepalives_count probes. Five minutes, since a server that lives but takes nothing in for as
long, such as one that waits for a lock amid a COPY, is given up, too.
"""


def connect(
    portfolio: str,
    url: str,
    within_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Open a connection whose search_path is the portfolio's schema.

    Args:
        url: of the database, with user and password, as SQLAlchemy or Airflow write it.
        within_seconds: how long the server may take to answer; what the URL or `ALIVE` says unless
            given.
        parameters: of the server for this connection, such as statement_timeout.

    Raises:
        DatabaseError: the URL is not one, or no server answers there.
    """
    dsn = libpq_url(url)
    told = {"search_path": portfolio, "timezone": "UTC", **(parameters or {})}
    wanted: dict[str, Any] = {
        **ALIVE,
        **libpq_parameters(dsn),
        "application_name": "loan-scoring",
        "options": " ".join(f"-c {name}={value}" for name, value in told.items()),
    }
    if within_seconds is not None:
        wanted["connect_timeout"] = within_seconds
    try:
        connection: Connection = psycopg2.connect(**wanted)
    except psycopg2.Error as error:
        raise _no_database(dsn, str(error)) from error
    return connection


def libpq_parameters(url: str) -> dict[str, str]:
    """Return what libpq reads in the URL of a database, by libpq's names, such as sslmode.

    Raises:
        DatabaseError: not the URL of a Postgres database, or libpq does not know an option.
    """
    dsn = libpq_url(url)
    try:
        return dict(parse_dsn(dsn))
    except psycopg2.ProgrammingError as error:  # libpq reads no nested JSON of Airflow's
        advice = "; give each option by its own name, such as ?sslmode=require"
        raise _no_database(dsn, f"{error}{advice}") from error


def _no_database(dsn: str, reason: str) -> DatabaseError:
    told = " ".join(reason.split())
    return DatabaseError(f"no database at {without_password(dsn)}: {told}")


TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
"""What other clients of the same database need to encrypt, and to be known, as we do."""


def libpq_environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a program of Postgres connects by libpq's parameters.

    Arguments would show the password to whoever lists processes.
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
    """Return a URL that libpq understands from any that SQLAlchemy or Airflow does.

    Raises:
        DatabaseError: not the URL of a Postgres database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # a port that is no number is a ValueError
        raise DatabaseError(
            "the database URL is none: write postgresql://user:password@host:port/name"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseError(
            f"the database is {parsed.get_backend_name()}; loan-scoring needs postgresql://..."
        )
    return parsed.set(drivername="postgresql").render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """Return the URL fit for a log or a screen."""
    parsed = make_url(url)
    said = {name: value for name, value in parsed.query.items() if name in ("host", "port")}
    # set(password=None) would mean: leave it as it is.
    return parsed._replace(password=None, query=immutabledict(said)).render_as_string()
