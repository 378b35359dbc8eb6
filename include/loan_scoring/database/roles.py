"""The roles and databases of a Postgres server, made so that half a set-up is completed."""

import os
from collections.abc import Mapping
from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from loan_scoring import database
from loan_scoring.errors import DatabaseError

# Role: the database that its URL names. A role that has its own name's database owns it.
DATABASES = {
    "postgres": "postgres",
    database.OWNER: "loan_scoring",
    database.APPLICATION: "loan_scoring",
    database.READER: "loan_scoring",
    "airflow": "airflow",
}
EMBEDDED = ("postgres", database.OWNER, database.READER, "airflow")
"""The roles of the embedded Postgres, where one person is owner and application in one."""

PASSWORDS = {
    database.OWNER: "LOAN_SCORING_OWNER_PASSWORD",
    database.APPLICATION: "LOAN_SCORING_APP_PASSWORD",
    database.READER: "LOAN_SCORING_READER_PASSWORD",
    "airflow": "AIRFLOW_DATABASE_PASSWORD",
}
"""Variable of the password of each role that `from_environment` makes; airflow's may be unset."""


def create_roles_from_environment() -> list[str]:
    """Make the roles whose passwords the environment holds, as LOAN_SCORING_ADMIN_URL's superuser.

    Again is safe, and sets the passwords anew. Returns the roles.

    Raises:
        DatabaseError: a variable is missing, no server answers, or its role is no superuser.
    """
    wanted = {role: os.environ.get(name) or "" for role, name in PASSWORDS.items()}
    missing = [PASSWORDS[role] for role in wanted if not wanted[role] and role != "airflow"]
    admin = os.environ.get("LOAN_SCORING_ADMIN_URL") or ""
    if missing or not admin:
        lacking = ", ".join(["LOAN_SCORING_ADMIN_URL"] * (not admin) + missing)
        raise DatabaseError(f"set {lacking} in the environment: `roles` makes roles by them")
    url = database.libpq_url(admin)
    passwords = {role: password for role, password in wanted.items() if password}
    try:
        create_roles_and_databases(url, passwords)
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(
            f"no roles made at {database.without_password(url)}: {reason}"
        ) from error
    return list(passwords)


def create_roles_and_databases(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Make every role that has a password and is missing, its database, and set the passwords."""
    with closing(psycopg2.connect(superuser_url, connect_timeout=10)) as connection:
        connection.autocommit = (
            True  # CREATE DATABASE runs in no transaction; each step stands alone
        )
        with connection.cursor() as cursor:
            cursor.execute("select rolname from pg_roles")
            roles = {name for (name,) in cursor.fetchall()}
            cursor.execute("select datname from pg_database")
            databases = {name for (name,) in cursor.fetchall()}
            for role, password in passwords.items():
                # Hashed here, so that the password itself reaches no server log.
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
                # Checks of a batch and landed outcomes are temporary tables.
                cursor.execute(
                    "grant connect, temporary on database loan_scoring to loan_scoring_app"
                )
                # So that the owner can dump what is the application's: the mirror in mlflow.
                cursor.execute("grant loan_scoring_app to loan_scoring")
    if database.APPLICATION in passwords:
        _create_mlflow(superuser_url)


def _create_mlflow(superuser_url: str) -> None:
    """Give MLflow, which makes and alters its own tables, a schema of the application's."""
    with (
        closing(psycopg2.connect(superuser_url, dbname="loan_scoring")) as connection,
        database.transaction(connection),
        connection.cursor() as cursor,
    ):
        cursor.execute("create schema if not exists mlflow authorization loan_scoring_app")


MLFLOW_SCHEMA = "mlflow"
