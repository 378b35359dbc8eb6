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

from loan_scoring.database.airflow_extra import with_plain_options
from loan_scoring.errors import DatabaseError

OWNER = "loan_scoring"
"""The role that owns the schemas, migrates them and drops expired months (docs/adr/0024)."""

APPLICATION = "loan_scoring_app"
"""The role that runs the stages. If the server lacks this role, the owner runs the stages."""

READER = "loan_scoring_reader"
"""The role of analysts. This role may select from tables and views, and nothing else."""

MLFLOW = "loan_scoring_mlflow"
"""The role of MLflow's server. This role may select from MLflow's tables, and nothing else."""

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

SETTINGS = {
    "timezone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "90min",
    "idle_in_transaction_session_timeout": "1h",
    "idle_session_timeout": "1d",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Server settings of every session. They go before the defaults of the server, database and role.

Under another isolation than read committed, a transaction that waited for a lock would not see what
the holder of the lock has written. Floats, dates and intervals are exchanged as text.

A stage may compute for minutes between two statements of a transaction: Great Expectations checks
a history of 125,000 loans on a second connection, and the transaction is idle for 19 s. It may be
idle for 1 h, the time limit of a task. Outside a transaction a session is idle for as long as
training computes, whose limit is 6 h. A second try waits for the locks of the first one, so
`lock_timeout` is longer than an idle transaction may hold them. Migrations and retention set a far
shorter `lock_timeout`.

With the keepalives, the server ends the transaction of a client whose host is gone within a minute.
"""

DIRECT = (
    "name the host and port of Postgres itself in the URL: a pooler such as PgBouncer drops the "
    "settings and locks of a session"
)
"""What to do if a pooler stands between loan-scoring and Postgres."""

CURES = {
    "unsupported startup parameter": DIRECT,
    'parameter "idle_session_timeout"': "loan-scoring needs Postgres 14 or newer",
}
"""What to do about a refused connection, by a part of the error message."""


def connect(
    portfolio: str,
    url: str,
    within_seconds: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Open a connection whose search_path is the portfolio's schema, with the settings in SETTINGS.

    Args:
        portfolio: name of the portfolio, which is also the name of its schema.
        url: database URL with user and password, in the format of SQLAlchemy or Airflow.
        within_seconds: time limit for connecting. If None, the limit in the URL applies, or else
            the limit in `ALIVE`.
        parameters: server settings for this connection, such as statement_timeout. They go before
            those in SETTINGS.

    Raises:
        DatabaseError: the URL is not valid, the server cannot be reached or refuses the login, the
            database is not UTF8, or a pooler drops the settings.
    """
    dsn = libpq_url(url)
    given = libpq_parameters(dsn)
    arguments: dict[str, Any] = {
        **ALIVE,
        **given,
        "application_name": "loan-scoring",
        "client_encoding": "UTF8",
        # Of two values of a setting the server takes the later one, so that ours go before those
        # in the URL.
        "options": f"{given.get('options', '')} {server_options(portfolio, parameters)}".strip(),
    }
    if within_seconds is not None:
        arguments["connect_timeout"] = within_seconds
    connection: Connection | None = None
    try:
        connection = psycopg2.connect(**arguments)
        _refuse_unfit(connection, portfolio)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, psycopg2.Error):
            raise
        cures = [cure for part, cure in CURES.items() if part in str(error)]
        raise _no_database(dsn, "; ".join([str(error).strip(), *cures])) from error
    return connection


def server_options(schema: str, parameters: Mapping[str, str] | None = None) -> str:
    """Return libpq's parameter `options`, which sets SETTINGS, `parameters` and the search_path.

    >>> server_options("loans", {"statement_timeout": "9s"}).split(" -c ")[-1]
    'search_path=loans'
    """
    settings = {**SETTINGS, **(parameters or {}), "search_path": schema}
    return " ".join(
        "-c " + f"{name}={value}".replace(" ", "\\ ") for name, value in settings.items()
    )


def _refuse_unfit(connection: Connection, schema: str) -> None:
    """Refuse a database that is not UTF8, and a pooler that drops the settings of a session.

    Raises:
        DatabaseError: the database or the pooler cannot be used.
    """
    place, encoding = location(connection), connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(
            f"the database at {place} stores text as {encoding}, and loan-scoring needs UTF8: "
            "create it anew with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    found = _settle(connection)
    if found != (schema, SETTINGS["default_transaction_isolation"]):
        raise DatabaseError(
            f"{place} does not take the settings of a session (search_path is {found[0]} and not "
            f"{schema}); {DIRECT}"
        )


def _settle(connection: Connection) -> tuple[str, ...]:
    """Set what `options` cannot set, and return search_path and isolation.

    libpq sends PGTZ and PGDATESTYLE after `options`, so that the server prefers them. Only Postgres
    17 and newer know `transaction_timeout`, and others would refuse the connection.
    """
    connection.autocommit = True  # because a transaction would cost two more round trips
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('search_path'),"
            " current_setting('default_transaction_isolation'),"
            " set_config('timezone', %(timezone)s, false),"
            " set_config('DateStyle', %(DateStyle)s, false),"
            " CASE WHEN current_setting('server_version_num')::int >= 170000"
            " THEN set_config('transaction_timeout', '0', false) END",
            SETTINGS,
        )
        found = cursor.fetchone() or ()
    connection.autocommit = False
    return found[:2]


def libpq_parameters(url: str) -> dict[str, str]:
    """Return the connection parameters in a database URL, with libpq's names such as sslmode.

    Raises:
        DatabaseError: the URL does not name a Postgres database, or has an option that libpq does
            not know.
    """
    dsn = libpq_url(url)
    try:
        return dict(parse_dsn(dsn))
    except psycopg2.ProgrammingError as error:
        advice = "; remove this option, or spell it as libpq does, such as sslmode=require"
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
    _settle(other)
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
    plain = with_plain_options(parsed.set(drivername="postgresql"))
    start, mark, options = plain.render_as_string(hide_password=False).partition("?")
    return f"{start}{mark}{options.replace('+', '%20')}"  # libpq does not read + as a space


def without_password(url: str) -> str:
    """Return a database URL without its password, so that a log or a screen may show it.

    Query parameters other than host and port are removed too, because they may hold secrets.
    """
    parsed = make_url(url)
    shown = {name: value for name, value in parsed.query.items() if name in ("host", "port")}
    # URL.set() ignores an argument None, so that set(password=None) would keep the password.
    return parsed._replace(password=None, query=immutabledict(shown)).render_as_string()
