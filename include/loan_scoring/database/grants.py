"""Grant rights in a portfolio's schema to the application's role and to the reader's role.

The role that owns the schema must run these grants.
"""

import hashlib

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database

APPENDED = (
    "applications", "calls", "canary_nights", "contracts", "lookup_deliveries", "lookup_rows",
    "models", "outcome_changes", "outcome_changes_by_batch", "outcome_revisions", "quarantine",
    "readings", "retrain_requests", "scan_deliveries", "scan_files", "scans", "scores",
    "shadow_scores", "stream_messages", "trial_failures", "trials",
)  # fmt: skip
"""Tables to which stages only add rows. Triggers guard the rows of what is published."""

UPDATED = (
    "alerts", "batches", "deliveries", "landing_files", "mini_batches",
    "outcome_drops", "scanner_checks", "shadows", "task_metrics", "valid_contracts",
)  # fmt: skip
"""Tables in which stages add and update rows. A trigger guards published revisions of `batches`."""

REPLACED = (
    "batch_files", "desk_queue", "desk_queues", "distributions", "drift", "fairness", "findings",
    "landing_findings", "loans", "model_comparisons", "outcome_coverage", "outcome_repeats",
    "outcome_sums", "outcomes", "performance", "quality", "segments", "shadow_nights",
)  # fmt: skip
"""Tables in which a stage that runs again deletes its earlier rows before it writes new rows."""

PLANNED = {
    "scoring_runs": (
        "scoring_run_id", "batch_id", "revision", "propensity_version", "personas_version",
        "policy", "applications", "lookup_delivery_id", "run_kind", "beside", "canary",
    ),
}  # fmt: skip
"""Tables to which stages only add rows, and in these only the given columns."""

BY_OWNER = (
    "approvals", "audit_log", "backups", "claims", "desk_rules", "dropped_partitions",
    "erased_files", "erasures", "exports", "model_signatures", "promotions", "publications",
    "scan_corrections", "schema_migrations", "service_levels",
)  # fmt: skip
"""Tables that only the owner writes: by FUNCTIONS, migrations or retention."""

FUNCTIONS = (
    "analyze_queue", "claim_application", "correct_scan", "create_partition",
    "decide_application", "decide_referrals", "delete_known_applications", "delete_landed_rows",
    "publish_batch", "publish_run", "record_approval", "record_audit_entry", "record_signature",
    "record_verdicts", "refuse_batch", "restore_batch", "seal_stream_run", "undo_decision",
    "withdraw_batch",
)  # fmt: skip
"""Functions of the owner (SECURITY DEFINER) that the application may call."""

READ_FUNCTIONS = ("audit_hash", "outcomes_as_of")
"""Functions that write nothing, for application and reader."""

INNER_FUNCTIONS = (
    "chain_audit_entry", "guard_applications", "guard_batches", "guard_scores", "guard_table",
    "hide_scores", "lock_application", "open_referrals", "refuse_change", "refuse_other_role",
    "seal_record", "seal_records", "write_decision",
)  # fmt: skip
"""Functions that only triggers and other functions call, or the owner."""

_REVOKING = (
    "REVOKE ALL ON {readable} FROM {role}",
    "REVOKE ALL ON FUNCTION {all_functions} FROM {role}",
)
_READING = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT ON {readable} TO {role}",
    "GRANT EXECUTE ON FUNCTION {read_functions} TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}",
)
_WRITING = (
    "GRANT INSERT ON {appended}, {updated}, {replaced} TO {role}",
    "GRANT UPDATE ON {updated} TO {role}",
    "GRANT DELETE ON {replaced} TO {role}",
    # Partitions that are older than the role need this grant. create_partition gives each new
    # partition the rights of its table.
    "GRANT INSERT ON {partitions} TO {role}",
    "GRANT EXECUTE ON FUNCTION {functions} TO {role}",
    *(
        f"GRANT INSERT ({', '.join(columns)}) ON {table} TO {{role}}"
        for table, columns in PLANNED.items()
    ),
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
    tables = (APPENDED, UPDATED, REPLACED, PLANNED)
    text = repr((_roles(connection), _READING, _WRITING, *tables, FUNCTIONS, READ_FUNCTIONS))
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
        # Every function may be executed by PUBLIC until this is revoked, also after a restore,
        # which leaves out all rights.
        names = {
            "schema": sql.Identifier(here[0]),
            "readable": _listed([name for name, _ in found]),
            "appended": _listed(APPENDED),
            "updated": _listed(UPDATED),
            "replaced": _listed(REPLACED),
            "partitions": _listed(partitions),
            "functions": _listed(FUNCTIONS),
            "read_functions": _listed(READ_FUNCTIONS),
            "all_functions": _listed([*FUNCTIONS, *READ_FUNCTIONS, *INNER_FUNCTIONS]),
        }
        cursor.execute(
            sql.SQL("REVOKE ALL ON FUNCTION {all_functions} FROM PUBLIC").format(**names)
        )
        for role in roles:
            # What an earlier release granted is taken back first.
            for text in (*_REVOKING, *_READING, *_WRITING * (role == database.APPLICATION)):
                if "{partitions}" in text and not partitions:
                    continue
                cursor.execute(sql.SQL(text).format(role=sql.Identifier(role), **names))


def _listed(names: tuple[str, ...] | list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _roles(connection: Connection) -> dict[str, int]:
    """Return a dictionary from name to oid for the roles of the application and of the readers.

    Besides the reader of all portfolios, each portfolio may have a reader of its own.

    A role that the server lacks is left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, oid::bigint FROM pg_roles"
            " WHERE rolname = ANY (%(roles)s) OR rolname = %(reader)s || '_' || current_schema()"
            " ORDER BY rolname",
            {"roles": [database.APPLICATION, database.READER], "reader": database.READER},
        )
        return dict(cursor.fetchall())
