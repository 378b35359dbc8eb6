"""The roles and databases of an embedded Postgres, made so that half a set-up is completed."""

from contextlib import closing

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

# Role: the database that its URL names. A role that has its own name's database owns it.
DATABASES = {
    "postgres": "postgres",
    "loan_scoring": "loan_scoring",
    "loan_scoring_reader": "loan_scoring",
    "airflow": "airflow",
}


def create_roles_and_databases(superuser_url: str, passwords: dict[str, str]) -> None:
    """Make every role and database that is missing, and set the passwords of all."""
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
            for role, database in DATABASES.items():
                name = sql.Identifier(database)
                if role == database and database not in databases:
                    cursor.execute(
                        sql.SQL("create database {} owner {}").format(name, sql.Identifier(role))
                    )
            for database in sorted(set(DATABASES.values())):
                name = sql.Identifier(database)
                cursor.execute(sql.SQL("revoke all on database {} from public").format(name))
            cursor.execute("grant connect on database loan_scoring to loan_scoring_reader")
