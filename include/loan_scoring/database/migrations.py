"""Migrate a portfolio's schema: apply new SQL files, the contract's columns and the grants."""

import hashlib
import json
import logging

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from loan_scoring import database, settings
from loan_scoring.contract import Column, Contract
from loan_scoring.database.grants import grant_rights, grants_step
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
        DatabaseError: an applied file was changed, the contract dropped a column or changed a
            column's type, or the role lacks a right that a step needs.
    """
    try:
        if not is_behind(connection, contract):
            return []
        return _apply_all(connection, contract)
    except psycopg2.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"the database role may not set up schema {contract.portfolio}: "
            f"{str(error).splitlines()[0]}; set LOAN_SCORING_OWNER_URL to its owner's URL "
            "and run `loan-scoring migrate`, or grant this role CREATE on the database"
        ) from error


def _apply_all(connection: Connection, contract: Contract) -> list[str]:
    applied = []
    with database.transaction(connection):
        _prepare(connection, contract)
    for path in sorted((settings.home() / "sql" / "migrations").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        with database.transaction(connection):
            database.lock(connection, "migrations")
            if _is_applied(connection, path.name, _sha256(text)):
                continue
            with connection.cursor() as cursor:
                cursor.execute(text)
            _note(connection, path.name, _sha256(text))
        applied.append(path.name)
    with database.transaction(connection):
        database.lock(connection, "migrations")
        name, ledger = _contract_step(contract), _ledger(connection)
        changed = []
        if name not in ledger:
            _add_columns(connection, contract)
            _note(connection, name, name)
            changed.append(name)
        if not _has_service_level(connection, contract):
            service_level = contract.service_level.model_dump()
            database.execute(connection, "upsert_service_level", **service_level)
            changed.append("service_level")
        if changed and any(each.startswith("contract-") for each in ledger):
            _record_change(connection, contract, changed)
        applied += changed
        if applied:
            database.execute(connection, "comment_on_views")
        grants = grants_step(connection)
        if grants is not None and grants not in ledger:
            grant_rights(connection)
            _note(connection, grants, grants)
            applied.append(grants)
    log.info("schema %s: applied %s", contract.portfolio, ", ".join(applied) or "nothing")
    return applied


def is_behind(connection: Connection, contract: Contract) -> bool:
    """Return True if the schema does not exist or lacks a migration step.

    Grants count as a step only if the connection's role owns the schema, because no other role can
    grant rights in the schema.
    """
    with database.transaction(connection):
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (f"{contract.portfolio}.schema_migrations",))
            found = cursor.fetchone()
            if found is None or found[0] is None:
                return True
        ledger = _ledger(connection)
        wanted = {path.name for path in (settings.home() / "sql" / "migrations").glob("*.sql")}
        wanted |= {_contract_step(contract), *filter(None, [grants_step(connection)])}
        if not wanted <= ledger.keys():
            return True
        return not _has_service_level(connection, contract)


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


def _add_columns(connection: Connection, contract: Contract) -> None:
    """Add the contract's columns that table `applications` does not have yet.

    View `current_applications` is created again, because a view never shows columns that its table
    gets later.

    Raises:
        DatabaseError: the contract lacks a column of the table, or has another type for it.
    """
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
        for column in contract.inputs:
            if column.name not in present:
                cursor.execute(
                    sql.SQL("ALTER TABLE applications ADD COLUMN {} {}").format(
                        sql.Identifier(column.name), sql.SQL(POSTGRES_TYPES[column.type])
                    )
                )
            cursor.execute(
                sql.SQL("COMMENT ON COLUMN applications.{} IS {}").format(
                    sql.Identifier(column.name), sql.Literal(_comment(column))
                )
            )
        cursor.execute("DROP VIEW IF EXISTS current_applications")
        cursor.execute(
            "CREATE VIEW current_applications AS SELECT a.* FROM applications AS a"
            " JOIN batches AS b USING (batch_id, revision) WHERE b.is_current"
        )
        cursor.execute(
            "COMMENT ON VIEW current_applications IS"
            " 'The accepted applications of each batch''s current revision'"
        )


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
    wanted = {column.name: POSTGRES_TYPES[column.type] for column in contract.inputs}
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


def _comment(column: Column) -> str:
    unit = f", {column.unit}" if column.unit else ""
    return f"{column.label}{unit}; known at {column.known}; source column {column.source}"


def _contract_step(contract: Contract) -> str:
    shape = [(column.name, _comment(column), column.type) for column in contract.columns]
    return f"contract-{_sha256(repr(shape))[:12]}"


def _has_service_level(connection: Connection, contract: Contract) -> bool:
    """Return True if the service level in the database equals the contract's service level.

    The service level is compared directly and has no row in table `schema_migrations`. If the
    contract returned to an earlier service level, the table would already have a row for that
    level, so that the change would be missed.
    """
    service_level = contract.service_level.model_dump()
    return database.row(connection, "select_service_level") == service_level


def _is_applied(connection: Connection, name: str, sha256: str) -> bool:
    applied = _ledger(connection).get(name)
    if applied not in (None, sha256):
        raise DatabaseError(
            f"sql/migrations/{name} was changed after it was applied; "
            "restore the file and write the change as a new migration"
        )
    return applied is not None


def _ledger(connection: Connection) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sha256 FROM schema_migrations")
        return dict(cursor.fetchall())


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
            "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", (name, sha256)
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
