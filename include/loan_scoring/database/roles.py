"""Create the roles and databases of loan-scoring on a Postgres server.

If a set-up was interrupted, the next call creates what is missing.
"""

import os
from collections.abc import Mapping
from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from loan_scoring import database
from loan_scoring.errors import DatabaseError

DATABASES = {
    "postgres": "postgres",
    database.OWNER: "loan_scoring",
    database.APPLICATION: "loan_scoring",
    database.READER: "loan_scoring",
    "airflow": "airflow",
}
"""Name of the database to which each role connects.

A role owns a database if the database has the same name as the role.
"""

EMBEDDED = ("postgres", database.OWNER, database.READER, "airflow")
"""Roles of the embedded Postgres, in which the owner also runs the stages."""

PASSWORDS = {
    database.OWNER: "LOAN_SCORING_OWNER_PASSWORD",
    database.APPLICATION: "LOAN_SCORING_APP_PASSWORD",
    database.READER: "LOAN_SCORING_READER_PASSWORD",
    "airflow": "AIRFLOW_DATABASE_PASSWORD",
}
"""Environment variable that holds each role's password.

If AIRFLOW_DATABASE_PASSWORD is not set, role `airflow` is not created.
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
    missing = [PASSWORDS[role] for role in given if not given[role] and role != "airflow"]
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
            for role in passwords:
                name = sql.Identifier(DATABASES[role])
                if role == DATABASES[role] and role not in databases:
                    cursor.execute(
                        sql.SQL("create database {} owner {}").format(name, sql.Identifier(role))
                    )
            for each in sorted({DATABASES[role] for role in passwords}):
                cursor.execute(
                    sql.SQL("revoke all on database {} from public").format(sql.Identifier(each))
                )
            if database.READER in passwords:
                cursor.execute("grant connect on database loan_scoring to loan_scoring_reader")
            if database.APPLICATION in passwords:
                # `temporary`, because the checks of a batch and the ingest of outcomes use
                # temporary tables.
                cursor.execute(
                    "grant connect, temporary on database loan_scoring to loan_scoring_app"
                )
                # The owner must be a member of the application's role, because a backup by the
                # owner includes the tables in `mlflow`, which belong to the application's role.
                cursor.execute("grant loan_scoring_app to loan_scoring")
    if database.APPLICATION in passwords:
        _create_mlflow(superuser_url)


def _create_mlflow(superuser_url: str) -> None:
    """Create schema `mlflow`, owned by the application's role.

    MLflow connects as the application's role and creates its tables in the schema.
    """
    with (
        closing(psycopg2.connect(superuser_url, dbname="loan_scoring")) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        cursor.execute("create schema if not exists mlflow authorization loan_scoring_app")
