"""Migrate a portfolio's schema: apply new SQL files, the contract's columns and the grants."""

import hashlib
import json
import logging
from functools import partial
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.contract_columns import add_columns, comment_columns
from loan_scoring.database.grants import grant_rights, grants_step
from loan_scoring.database.patience import run_step
from loan_scoring.database.schema_state import (
    contract_step,
    has_desk_rules,
    has_service_level,
    missing_steps,
    read_state,
    recorded_steps,
    stale_comments,
)
from loan_scoring.database.types import POSTGRES_TYPES
from loan_scoring.errors import DatabaseError

log = logging.getLogger(__name__)


def migrate_schema(connection: Connection, contract: Contract) -> list[str]:
    """Apply the migration steps that a portfolio's schema lacks, and return the steps' names.

    Each SQL file is applied in one transaction with its row in table `schema_migrations`. The
    contract's columns, the service level and the grants follow in one last transaction. An
    advisory lock admits one process at a time. A process that had to wait then skips the steps
    that the first process has applied.

    Raises:
        BusyError: other work holds a lock that a step needs. Steps before it stay applied.
        DatabaseError: an applied file was changed, the contract dropped a column or changed a
            column's type, or the role lacks a right that a step needs.
    """
    try:
        if is_up_to_date(connection, contract):
            return []
        return _apply_all(connection, contract)
    except psycopg2.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"the database role may not set up schema {contract.portfolio}: "
            f"{str(error).splitlines()[0]}; set LOAN_SCORING_OWNER_URL to its owner's URL "
            "and run `loan-scoring migrate`, or grant this role CREATE on the database"
        ) from error


def is_up_to_date(connection: Connection, contract: Contract) -> bool:
    """Return True if the schema lacks no step, no comment, no service level and no grant.

    Grants count only if the connection's role owns the schema, because no other role can grant
    rights in the schema.
    """
    state = read_state(connection)
    if state is None or missing_steps(state, contract) or stale_comments(state, contract):
        return False
    with database.transaction(connection):
        grants = grants_step(connection)
    is_set = has_service_level(state, contract) and has_desk_rules(state, contract)
    return is_set and (grants is None or grants in state.steps)


def _apply_all(connection: Connection, contract: Contract) -> list[str]:
    if read_state(connection) is None:
        with database.transaction(connection):
            _prepare(connection, contract)
    applied = []
    for path in sorted((settings.home() / "sql" / "migrations").glob("*.sql")):
        applied += run_step(connection, path.name, partial(_apply_file, connection, path))
    applied += run_step(connection, "columns", partial(_apply_contract, connection, contract))
    log.info("schema %s: %d steps applied", contract.portfolio, len(applied))
    log.debug("schema %s: applied %s", contract.portfolio, ", ".join(applied) or "nothing")
    return applied


def recreate_schema(connection: Connection, contract: Contract) -> None:
    """Drop a portfolio's schema with all rows, and set it up anew, in the caller's transaction.

    Only the entries of the audit log are kept, as they are.
    """
    name = sql.Identifier(contract.portfolio)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE kept_entries ON COMMIT DROP AS TABLE audit_log")
        cursor.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
        _prepare(connection, contract)
        for path in sorted((settings.home() / "sql" / "migrations").glob("*.sql")):
            _apply_file(connection, path)
        _apply_contract(connection, contract)
        # Without its trigger the table takes entries as they were, with their times and hashes.
        cursor.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_log_chained")
        cursor.execute("INSERT INTO audit_log TABLE kept_entries")
        cursor.execute("ALTER TABLE audit_log ENABLE TRIGGER audit_log_chained")


def _apply_file(connection: Connection, path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if _is_applied(connection, path.name, _sha256(text)):
        return []
    with connection.cursor() as cursor:
        cursor.execute(text)
    _note(connection, path.name, _sha256(text))
    return [path.name]


def _apply_contract(connection: Connection, contract: Contract) -> list[str]:
    """Bring columns, comments, service level and grants up to date, and return what changed."""
    name, ledger = contract_step(contract), recorded_steps(connection)
    changed = []
    if add_columns(connection, contract) or name not in ledger:
        _note(connection, name, name)
        changed.append(name)
    if comment_columns(connection, contract) and not changed:
        changed.append("comments")
    service_level = contract.service_level.model_dump()
    if database.row(connection, "select_service_level") != service_level:
        database.execute(connection, "upsert_service_level", **service_level)
        changed.append("service_level")
    if database.row(connection, "select_desk_rules") != contract.desk_rules:
        database.execute(connection, "upsert_desk_rules", **contract.desk_rules)
        changed.append("desk_rules")
    if changed and any(each.startswith("contract-") for each in ledger):
        _record_change(connection, contract, changed)
    database.execute(connection, "comment_on_views")
    grants = grants_step(connection)
    if grants is not None and grants not in ledger:
        grant_rights(connection)
        _note(connection, grants, grants)
        changed.append(grants)
    return changed


def _prepare(connection: Connection, contract: Contract) -> None:
    """Create the schema, table `schema_migrations` and domain `loan_key` if they are missing.

    Two processes may call this at the same time, because a lock makes the second wait.
    """
    with connection.cursor() as cursor:
        # database.lock() would lock nothing here, because current_schema() is null until the
        # schema exists.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (contract.portfolio,)
        )
        cursor.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(contract.portfolio))
        )
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute(
            "COMMENT ON TABLE schema_migrations IS 'Which migrations were applied, when'"
        )
        for column, meaning in (
            (
                "name",
                "File of sql/migrations, contract-HASH for the columns of a contract, or"
                " grants-HASH for what roles may do",
            ),
            ("sha256", "Hash of its text; an applied file is never changed"),
            ("applied_at", "When"),
        ):
            cursor.execute(
                sql.SQL("COMMENT ON COLUMN schema_migrations.{} IS {}").format(
                    sql.Identifier(column), sql.Literal(meaning)
                )
            )
        cursor.execute("SELECT to_regtype('loan_key')")
        found = cursor.fetchone()
        if found is None or found[0] is None:
            base = sql.SQL(POSTGRES_TYPES[contract.key.type])
            cursor.execute(sql.SQL("CREATE DOMAIN loan_key AS {}").format(base))
            cursor.execute("COMMENT ON DOMAIN loan_key IS 'Key of a loan, typed by the contract'")


def _is_applied(connection: Connection, name: str, sha256: str) -> bool:
    applied = recorded_steps(connection).get(name)
    if applied not in (None, sha256):
        raise DatabaseError(
            f"sql/migrations/{name} was changed after it was applied; "
            "restore the file and write the change as a new migration"
        )
    return applied is not None


def _record_change(connection: Connection, contract: Contract, changed: list[str]) -> None:
    """Add an entry to the audit log which says that the contract changed.

    `audit.record_entry` cannot be used, because it needs a session, and a session is opened only
    after the migration.
    """
    details = {
        "changed": changed,
        "service_level": contract.service_level.model_dump(),
        "desk_rules": contract.desk_rules,
    }
    database.execute(
        connection,
        "record_audit_entry",
        done_by=f"role:{connection.info.user}",
        action="contract.change",
        subject=contract.portfolio,
        details=json.dumps(details),
    )


def _note(connection: Connection, name: str, sha256: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET applied_at = now()",
            (name, sha256),
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
