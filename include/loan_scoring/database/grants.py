"""Grant rights in a portfolio's schema to the application's role and to the reader's role.

The role that owns the schema must run these grants.
"""

import hashlib

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database

APPENDED = (
    "approvals", "audit_log", "calls", "contracts", "lookup_deliveries", "lookup_rows", "models",
    "outcome_changes", "outcome_changes_by_batch", "outcome_revisions", "promotions",
    "publications", "retrain_requests", "scores", "trial_failures", "trials",
)  # fmt: skip
"""Tables to which stages only add rows.

The lists in this module leave out the tables that only migrations or retention write, because
stages may only read those tables.
"""

UPDATED = (
    "alerts", "batches", "deliveries", "landing_files", "mini_batches",
    "outcome_drops", "scoring_runs", "task_metrics", "valid_contracts",
)  # fmt: skip
"""Tables in which stages add and update rows."""

REPLACED = (
    "applications", "batch_files", "distributions", "drift", "fairness", "findings",
    "landing_findings", "loans", "outcome_coverage", "outcome_repeats", "outcome_sums", "outcomes",
    "performance", "quality", "quarantine",
)  # fmt: skip
"""Tables in which a stage that runs again deletes its earlier rows before it writes new rows."""

_READING = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT ON {readable} TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}",
)
_WRITING = (
    "GRANT INSERT ON {appended}, {updated}, {replaced} TO {role}",
    "GRANT UPDATE ON {updated} TO {role}",
    "GRANT DELETE ON {replaced} TO {role}",
    # Partitions that are older than the role need this grant. create_partition gives each new
    # partition the rights of its table.
    "GRANT INSERT ON {partitions} TO {role}",
    "GRANT EXECUTE ON FUNCTION create_partition TO {role}",
)


def grants_step(connection: Connection) -> str | None:
    """Return the name under which table `schema_migrations` records these grants.

    The name contains a hash of the grants and of the server's roles. So if a role is created
    later, the name changes, and the next migration grants the new role its rights.

    Return None if the connection's role does not own the schema, because only the owner can grant
    rights.
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
    """Grant the roles of the application and of the reader their rights in the current schema.

    A role that the server lacks is left out.
    """
    roles = _roles(connection)
    with connection.cursor() as cursor:
        # Views that other roles made in the schema are left out, because only their owners may
        # grant rights on them.
        cursor.execute(
            "SELECT c.relname, c.relispartition AND c.relkind = 'r' FROM pg_class AS c"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND pg_has_role(c.relowner, 'USAGE')"
            " AND c.relnamespace = current_schema()::regnamespace"
        )
        found = cursor.fetchall()
        partitions = [name for name, is_partition in found if is_partition]
        cursor.execute("SELECT current_schema()")
        here = cursor.fetchone()
        assert here is not None  # noqa: S101 - SELECT without FROM always gives one row
        # A restore leaves out all rights, and also the migration's REVOKE. Without this REVOKE,
        # every role could execute the function.
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
                        readable=_listed([name for name, _ in found]),
                        appended=_listed(APPENDED),
                        updated=_listed(UPDATED),
                        replaced=_listed(REPLACED),
                        partitions=_listed(partitions),
                    )
                )


def _listed(names: tuple[str, ...] | list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _roles(connection: Connection) -> dict[str, int]:
    """Return a dictionary from name to oid for the roles of the application and of the reader.

    A role that the server lacks is left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, oid::bigint FROM pg_roles WHERE rolname = ANY (%s) ORDER BY rolname",
            ([database.APPLICATION, database.READER],),
        )
        return dict(cursor.fetchall())
