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
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.grants import grant_rights, grants_step
from loan_scoring.database.patience import run_step
from loan_scoring.database.schema_state import (
    column_comment,
    contract_step,
    current_state,
    has_service_level,
    missing_steps,
    read_state,
    recorded_steps,
    stale_comments,
)
from loan_scoring.database.types import POSTGRES_TYPES
from loan_scoring.database.unused_columns import drop_unused_columns
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
    return has_service_level(state, contract) and (grants is None or grants in state.steps)


def _apply_all(connection: Connection, contract: Contract) -> list[str]:
    if read_state(connection) is None:
        with database.transaction(connection):
            _prepare(connection, contract)
    applied = []
    for path in sorted((settings.home() / "sql" / "migrations").glob("*.sql")):
        applied += run_step(connection, path.name, partial(_apply_file, connection, path))
    applied += run_step(connection, "columns", partial(_apply_contract, connection, contract))
    log.info("schema %s: applied %s", contract.portfolio, ", ".join(applied) or "nothing")
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
    if _add_columns(connection, contract) or name not in ledger:
        _note(connection, name, name)
        changed.append(name)
    if _comment_columns(connection, contract) and not changed:
        changed.append("comments")
    service_level = contract.service_level.model_dump()
    if database.row(connection, "select_service_level") != service_level:
        database.execute(connection, "upsert_service_level", **service_level)
        changed.append("service_level")
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


def _add_columns(connection: Connection, contract: Contract) -> bool:
    """Add the contract's columns that table `applications` lacks. Return whether one was added.

    View `current_applications` gets them too. New columns stand last in the table and in the view,
    so that the view is replaced and not dropped: views of other roles and their grants stay.

    Raises:
        DatabaseError: the contract lacks a column of the table, or has another type for it.
    """
    drop_unused_columns(connection, contract)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = 'applications'"
            " AND column_name NOT IN ('batch_id', 'revision', 'line_number', 'loan_id')"
        )
        present = dict(cursor.fetchall())
        cursor.execute(
            "SELECT typbasetype::regtype::text FROM pg_type WHERE oid = 'loan_key'::regtype"
        )
        key_type = cursor.fetchone()
        _refuse_lost_columns(contract, present, key_type[0] if key_type else "")
        added = [each for each in contract.stored if each.name not in {*present, KEY}]
        cursor.execute("SELECT to_regclass('current_applications') IS NOT NULL")
        has_view = cursor.fetchone() == (True,)
        if has_view and not added:
            return False
        if has_view:
            # A query of the view locks the view first and its tables second. Another order could
            # end in a deadlock with such a query.
            cursor.execute("LOCK TABLE current_applications IN ACCESS EXCLUSIVE MODE")
        for column in added:
            cursor.execute(
                sql.SQL("ALTER TABLE applications ADD COLUMN {} {}").format(
                    sql.Identifier(column.name), sql.SQL(POSTGRES_TYPES[column.type])
                )
            )
        cursor.execute(
            "CREATE OR REPLACE VIEW current_applications AS SELECT a.* FROM applications AS a"
            " JOIN batches AS b USING (batch_id, revision) WHERE b.is_current"
        )
        cursor.execute(
            "COMMENT ON VIEW current_applications IS"
            " 'The accepted applications of each batch''s current revision'"
        )
    return True


def _comment_columns(connection: Connection, contract: Contract) -> bool:
    """Set the comments that differ from the contract. Return whether one differed.

    COMMENT blocks neither readers nor writers.
    """
    stale = stale_comments(current_state(connection), contract)
    with connection.cursor() as cursor:
        for column in stale:
            cursor.execute(
                sql.SQL("COMMENT ON COLUMN applications.{} IS {}").format(
                    sql.Identifier(column.name), sql.Literal(column_comment(column))
                )
            )
    return bool(stale)


def _refuse_lost_columns(contract: Contract, present: dict[str, str], key_type: str) -> None:
    """Refuse a contract that drops a column or changes a type, because values would be lost.

    Args:
        contract: contract of the portfolio.
        present: name and Postgres type of each input column in table `applications`.
        key_type: Postgres type of domain `loan_key`.

    Raises:
        DatabaseError: the contract drops an input column, or changes the type of an input column
            or of the key.
    """
    advice = (
        "keep the column in the contract as it is, or write a migration in sql/migrations that "
        "changes it and says why"
    )
    wanted = {each.name: POSTGRES_TYPES[each.type] for each in contract.stored}
    for name, type_ in present.items():
        if name not in wanted:
            raise DatabaseError(
                f"{contract.portfolio}.applications has column {name}, the contract does not; "
                f"{advice}"
            )
        if wanted[name] != type_:
            raise DatabaseError(
                f"{contract.portfolio}.applications.{name} is {type_}, "
                f"the contract says {wanted[name]}; {advice}"
            )
    if POSTGRES_TYPES[contract.key.type] != key_type:
        raise DatabaseError(
            f"{contract.portfolio}: the key is {key_type} in the database, "
            f"the contract says {POSTGRES_TYPES[contract.key.type]}; {advice}"
        )


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
    service_level = contract.service_level.model_dump()
    database.execute(
        connection,
        "insert_audit_entry",
        done_by=f"role:{connection.info.user}",
        action="contract.change",
        subject=contract.portfolio,
        details=json.dumps({"changed": changed, "service_level": service_level}),
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
