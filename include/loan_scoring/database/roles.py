"""Create the roles and databases of loan-scoring on a Postgres server.

If a set-up was interrupted, the next call creates what is missing.
"""

import os
from collections.abc import Mapping
from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import encrypt_password

from loan_scoring import database
from loan_scoring.errors import DatabaseError

DATABASES = {
    "postgres": "postgres",
    database.OWNER: "loan_scoring",
    database.APPLICATION: "loan_scoring",
    database.READER: "loan_scoring",
    database.MLFLOW: "loan_scoring",
    "airflow": "airflow",
    "airflow_results": "airflow_results",
}
"""Name of the database to which each role connects.

A role owns a database if the database has the same name as the role.
"""

EMBEDDED = ("postgres", database.OWNER, database.READER, database.MLFLOW, "airflow")
"""Roles of the embedded Postgres, in which the owner also runs the stages."""

PASSWORDS = {
    database.OWNER: "LOAN_SCORING_OWNER_PASSWORD",
    database.APPLICATION: "LOAN_SCORING_APP_PASSWORD",
    database.READER: "LOAN_SCORING_READER_PASSWORD",
    database.MLFLOW: "LOAN_SCORING_MLFLOW_PASSWORD",
    "airflow": "AIRFLOW_DATABASE_PASSWORD",
    "airflow_results": "AIRFLOW_RESULTS_PASSWORD",
}
"""Environment variable that holds each role's password."""

OPTIONAL = (database.MLFLOW, "airflow", "airflow_results")
"""Roles that are not created if their password is not set.

Role `airflow_results` owns the database to which Celery workers write results of tasks, so that
workers do not need Airflow's metadata database.
"""

READER_OF_ONE = "LOAN_SCORING_READER_PASSWORD_"
"""Start of the variables with passwords of readers of one portfolio.

Variable LOAN_SCORING_READER_PASSWORD_LOAN_DEFAULT is for role `loan_scoring_reader_loan_default`.
"""

CONNECTIONS = {"all": 40, "one": 10}
"""Most connections of the reader of all portfolios, whose role the pages use, and of others."""

TIME_LIMITS = {
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "5min",
    "idle_session_timeout": "1h",
}
READER_LIMITS = {**TIME_LIMITS, "temp_file_limit": "4GB"}
"""Settings of a reader's sessions.

A session may change the time-outs, but not `temp_file_limit`, and not the number of connections.
"""

_WITHHELD = """
    SELECT p.oid::regprocedure::text
    FROM pg_proc AS p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND (p.proname ~ '^pg_(try_)?advisory_' OR p.proname ~ '^lo(_|read$|write$)')
    ORDER BY 1
"""
"""Functions that everybody may execute in a new database, and a reader must not.

An advisory lock of a reader would stop a stage that waits for the same lock, and a reader could
fill the disk with large objects.
"""

MLFLOW_SCHEMA = "mlflow"


def create_roles_from_environment() -> list[str]:
    """Create the roles whose passwords are in the environment, and return the roles' names.

    The function connects as the superuser in LOAN_SCORING_ADMIN_URL. If a role exists, its
    password is set again.

    Raises:
        DatabaseError: a variable is missing, the server cannot be reached, or the role in
            LOAN_SCORING_ADMIN_URL is not a superuser.
    """
    given = {role: os.environ.get(name) or "" for role, name in PASSWORDS.items()}
    given |= {
        f"{database.READER}_{name.removeprefix(READER_OF_ONE).lower()}": password
        for name, password in os.environ.items()
        if name.startswith(READER_OF_ONE) and password
    }
    missing = [PASSWORDS[role] for role in PASSWORDS if not given[role] and role not in OPTIONAL]
    admin = os.environ.get("LOAN_SCORING_ADMIN_URL") or ""
    if missing or not admin:
        lacking = ", ".join(["LOAN_SCORING_ADMIN_URL"] * (not admin) + missing)
        raise DatabaseError(f"set {lacking} in the environment: `roles` needs them")
    url = database.libpq_url(admin)
    passwords = {role: password for role, password in given.items() if password}
    try:
        create_roles_and_databases(url, passwords)
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(
            f"no roles made at {database.without_password(url)}: {reason}"
        ) from error
    return list(passwords)


def create_roles_and_databases(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Create missing roles and databases, set all passwords and grant the rights to connect.

    Args:
        superuser_url: database URL of a superuser, in the format of libpq.
        passwords: password of each role to create.
    """
    with closing(psycopg2.connect(superuser_url, connect_timeout=10)) as connection:
        connection.autocommit = True  # because CREATE DATABASE fails in a transaction
        with connection.cursor() as cursor:
            cursor.execute("select rolname from pg_roles")
            roles = {name for (name,) in cursor.fetchall()}
            cursor.execute("select datname from pg_database")
            databases = {name for (name,) in cursor.fetchall()}
            for role, password in passwords.items():
                # The password is hashed here, so that a statement in the server's log does not
                # show the password.
                verifier = encrypt_password(password, role, connection, "scram-sha-256")
                statement = "alter role {}" if role in roles else "create role {}"
                options = "" if role == "postgres" else " nosuperuser nocreatedb nocreaterole"
                cursor.execute(
                    sql.SQL(statement + " login" + options + " password {}").format(
                        sql.Identifier(role), sql.Literal(verifier)
                    )
                )
            places = {role: DATABASES.get(role, DATABASES[database.READER]) for role in passwords}
            for role, place in places.items():
                name = sql.Identifier(place)
                if role == place and role not in databases:
                    cursor.execute(
                        sql.SQL("create database {} owner {}").format(name, sql.Identifier(role))
                    )
            for each in sorted(set(places.values())):
                cursor.execute(
                    sql.SQL("revoke all on database {} from public").format(sql.Identifier(each))
                )
            for role in passwords:
                if role.startswith((database.READER, database.MLFLOW)):
                    _limit_reader(cursor, role)
            if database.APPLICATION in passwords:
                # `temporary`, because the checks of a batch and the ingest of outcomes use
                # temporary tables.
                cursor.execute(
                    "grant connect, temporary on database loan_scoring to loan_scoring_app"
                )
                # The owner must be a member of the application's role, because a backup by the
                # owner includes the tables in `mlflow`, which belong to the application's role.
                cursor.execute("grant loan_scoring_app to loan_scoring")
    if database.OWNER in passwords:
        _withhold_functions(superuser_url, [database.OWNER, database.APPLICATION])
    if database.APPLICATION in passwords:
        _create_mlflow(superuser_url, has_reader=database.MLFLOW in passwords)


def _limit_reader(cursor: Cursor, role: str) -> None:
    name = sql.Identifier(role)
    most = CONNECTIONS["all" if role in (database.READER, database.MLFLOW) else "one"]
    cursor.execute(sql.SQL("grant connect on database loan_scoring to {}").format(name))
    cursor.execute(sql.SQL("alter role {} connection limit %s").format(name), (most,))
    for setting, value in READER_LIMITS.items():
        cursor.execute(
            sql.SQL("alter role {} set {} to %s").format(name, sql.Identifier(setting)), (value,)
        )


def _withhold_functions(superuser_url: str, keep: list[str]) -> None:
    """Let only the roles in `keep`, as far as they exist, execute the functions in `_WITHHELD`."""
    with (
        closing(psycopg2.connect(superuser_url, dbname="loan_scoring")) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        cursor.execute(_WITHHELD)
        functions = sql.SQL(", ").join(sql.SQL(name) for (name,) in cursor.fetchall())
        cursor.execute("select rolname from pg_roles where rolname = any (%s)", (keep,))
        roles = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
        cursor.execute(sql.SQL("revoke execute on function {} from public").format(functions))
        cursor.execute(sql.SQL("grant execute on function {} to {}").format(functions, roles))


def mlflow_grants(creator: str | None = None) -> sql.Composed:
    """Return statements that let MLflow's server read what is and will be in schema `mlflow`.

    Args:
        creator: role that creates MLflow's tables. If None, the current role.
    """
    role = sql.SQL("for role {} ").format(sql.Identifier(creator)) if creator else sql.SQL("")
    return sql.SQL(
        "grant usage on schema {schema} to {reader};"
        "grant select on all tables in schema {schema} to {reader};"
        "alter default privileges {role}in schema {schema} grant select on tables to {reader}"
    ).format(
        schema=sql.Identifier(MLFLOW_SCHEMA), reader=sql.Identifier(database.MLFLOW), role=role
    )


def _create_mlflow(superuser_url: str, *, has_reader: bool) -> None:
    """Create schema `mlflow`, owned by the application's role, and let MLflow's server read it.

    The application's role copies models to the schema and creates MLflow's tables there.
    """
    with (
        closing(psycopg2.connect(superuser_url, dbname="loan_scoring")) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        cursor.execute("create schema if not exists mlflow authorization loan_scoring_app")
        if has_reader:
            cursor.execute(mlflow_grants(database.APPLICATION))
