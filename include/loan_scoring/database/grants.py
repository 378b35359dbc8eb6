"""Grant the application and the reader their rights in a portfolio's schema, as its owner."""

import hashlib

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database

APPENDED = (
    "approvals", "audit_log", "calls", "models", "outcomes", "promotions", "retrain_requests",
    "scores", "trials",
)  # fmt: skip
"""Tables to which stages add rows that they never change. The tables of migrations and retention
are in none of these lists: stages only read them."""

UPDATED = (
    "alerts", "batches", "deliveries", "mini_batches", "outcome_drops", "scoring_runs",
    "task_metrics",
)  # fmt: skip
"""Tables whose rows stages add and update."""

REPLACED = (
    "applications", "distributions", "drift", "fairness", "findings", "performance", "quality",
    "quarantine",
)  # fmt: skip
"""Tables whose rows another try deletes and writes again."""

_READING = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}",
)
_WRITING = (
    "GRANT INSERT ON {appended}, {updated}, {replaced} TO {role}",
    "GRANT UPDATE ON {updated} TO {role}",
    "GRANT DELETE ON {replaced} TO {role}",
    # For partitions older than the role; later ones inherit the rights of their table.
    "GRANT INSERT ON {partitions} TO {role}",
    "GRANT EXECUTE ON FUNCTION create_partition TO {role}",
)


def grants_step(connection: Connection) -> str | None:
    """Return the name of these grants in the ledger of migrations.

    It depends on the roles of the server, so that a new role is granted its rights. None if the
    connection's role does not own the schema and so cannot grant.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspowner = current_user::regrole FROM pg_namespace"
            " WHERE nspname = current_schema()"
        )
        owns = cursor.fetchone()
        if owns is None or not owns[0]:
            return None
    text = repr((_roles(connection), _READING, _WRITING, APPENDED, UPDATED, REPLACED))
    return f"grants-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def grant_rights(connection: Connection) -> None:
    """Grant the application and the reader their rights, if the server has these roles."""
    roles = _roles(connection)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class AS c"
            " WHERE c.relispartition AND c.relkind = 'r'"
            " AND c.relnamespace = current_schema()::regnamespace"
        )
        partitions = [name for (name,) in cursor.fetchall()]
        cursor.execute("SELECT current_schema()")
        here = cursor.fetchone()
        assert here is not None  # noqa: S101 - SELECT without FROM gives one row
        # After a restore everybody may execute the functions again.
        cursor.execute("REVOKE ALL ON FUNCTION create_partition FROM PUBLIC")
        for role in roles:
            texts = _READING + _WRITING * (role == database.APPLICATION)
            for text in texts:
                if "{partitions}" in text and not partitions:
                    continue
                cursor.execute(
                    sql.SQL(text).format(
                        schema=sql.Identifier(here[0]),
                        role=sql.Identifier(role),
                        appended=_listed(APPENDED),
                        updated=_listed(UPDATED),
                        replaced=_listed(REPLACED),
                        partitions=_listed(partitions),
                    )
                )


def _listed(names: tuple[str, ...] | list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _roles(connection: Connection) -> dict[str, int]:
    """Return the oid of the application and the reader, if the server has these roles."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, oid::bigint FROM pg_roles WHERE rolname = ANY (%s) ORDER BY rolname",
            ([database.APPLICATION, database.READER],),
        )
        return dict(cursor.fetchall())
