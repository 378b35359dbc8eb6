"""Create the roles and databases of a Postgres server; an interrupted set-up is completed."""

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
"""The database in each role's URL. A role owns the database of its own name."""

EMBEDDED = ("postgres", database.OWNER, database.READER, "airflow")
"""The roles of the embedded Postgres, where the owner is the application's role as well."""

PASSWORDS = {
    database.OWNER: "LOAN_SCORING_OWNER_PASSWORD",
    database.APPLICATION: "LOAN_SCORING_APP_PASSWORD",
    database.READER: "LOAN_SCORING_READER_PASSWORD",
    "airflow": "AIRFLOW_DATABASE_PASSWORD",
}
"""The variable with each role's password; that of airflow may be unset."""

MLFLOW_SCHEMA = "mlflow"


def create_roles_from_environment() -> list[str]:
    """Create the roles whose passwords are in the environment, and return them.

    Connects as the superuser of LOAN_SCORING_ADMIN_URL. Roles that exist get the passwords again.

    Raises:
        DatabaseError: a variable is missing, no server answers, or the role is not a superuser.
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
    """Create the roles that are missing and their databases, and set all passwords."""
    with closing(psycopg2.connect(superuser_url, connect_timeout=10)) as connection:
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        with connection.cursor() as cursor:
            cursor.execute("select rolname from pg_roles")
            roles = {name for (name,) in cursor.fetchall()}
            cursor.execute("select datname from pg_database")
            databases = {name for (name,) in cursor.fetchall()}
            for role, password in passwords.items():
                # Hashed here, so that no server log can show the password.
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
                # Checks of a batch and landed outcomes use temporary tables.
                cursor.execute(
                    "grant connect, temporary on database loan_scoring to loan_scoring_app"
                )
                # The owner must be able to dump the application's tables in mlflow.
                cursor.execute("grant loan_scoring_app to loan_scoring")
    if database.APPLICATION in passwords:
        _create_mlflow(superuser_url)


def _create_mlflow(superuser_url: str) -> None:
    """Create the schema in which MLflow creates its tables; it belongs to the application."""
    with (
        closing(psycopg2.connect(superuser_url, dbname="loan_scoring")) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        cursor.execute("create schema if not exists mlflow authorization loan_scoring_app")
