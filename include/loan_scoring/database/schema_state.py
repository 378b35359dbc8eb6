"""Compare a portfolio's schema with the contract and with the migrations of this release."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from loan_scoring import database, settings
from loan_scoring.contract import KEY, Column, Contract, FeatureColumn
from loan_scoring.database.types import POSTGRES_TYPES
from loan_scoring.errors import DatabaseError

log = logging.getLogger(__name__)

FEATURE = "feature, computed at ingest as "
"""What the comment on the column of a stored feature says before its expression."""


@dataclass(frozen=True)
class SchemaState:
    """What a schema has: applied steps, the columns of table `applications`, the service level."""

    steps: dict[str, str]
    """Hash of each migration step that table `schema_migrations` records, by name."""
    columns: dict[str, tuple[str, str | None]]
    """Postgres type and comment of each column of table `applications`, by name."""
    service_level: dict[str, Any] | None
    desk_rules: dict[str, Any] | None = None


def read_state(connection: Connection) -> SchemaState | None:
    """Return the state of a schema. Return None if the schema was never set up to the end.

    The set-up of a schema ends with the columns of the contract.
    """
    try:
        with database.transaction(connection):
            state = current_state(connection)
    except psycopg2.errors.UndefinedTable:
        state = SchemaState(_recorded_steps(connection), {}, None)
    return state if any(name.startswith("contract-") for name in state.steps) else None


def current_state(connection: Connection) -> SchemaState:
    """Return the state of a schema that has all tables.

    Raises:
        psycopg2.errors.UndefinedTable: the schema lacks tables.
    """
    found = database.row(connection, "select_schema_state")
    assert found is not None  # noqa: S101 - SELECT without FROM always gives one row
    columns = {name: (type_, comment) for name, (type_, comment) in found["columns"].items()}
    return SchemaState(found["steps"] or {}, columns, found["service_level"], found["desk_rules"])


def _recorded_steps(connection: Connection) -> dict[str, str]:
    """Return the steps of a schema without tables, or of a release before 0.1.0."""
    try:
        with database.transaction(connection):
            return recorded_steps(connection)
    except psycopg2.errors.UndefinedTable:
        return {}


def recorded_steps(connection: Connection) -> dict[str, str]:
    """Return the hash of each step in table `schema_migrations`, by name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sha256 FROM schema_migrations")
        return dict(cursor.fetchall())


def refuse_behind(state: SchemaState | None, contract: Contract) -> None:
    """Refuse to work in a schema that lacks a table or a column.

    If only a label or the service level differs, work goes on, and a warning says so.

    Raises:
        DatabaseError: the schema lacks a migration step.
    """
    portfolio = contract.portfolio
    missing = ["all tables"] if state is None else missing_steps(state, contract)
    if state is None or missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DatabaseError(
            f"the schema of {portfolio} is behind its contract or this release: it lacks "
            f"{', '.join(missing[:3])}{more}; run `loan-scoring migrate`, where owner and "
            "application are two roles with LOAN_SCORING_OWNER_URL set"
        )
    if not has_service_level(state, contract):
        log.warning(
            "the service level in the database differs from the contract of %s: the view slo goes "
            "by the database; run `loan-scoring migrate`",
            portfolio,
        )


def missing_steps(state: SchemaState, contract: Contract) -> list[str]:
    """Return what tables and columns need and do not have yet, in words."""
    files = {path.name for path in (settings.home() / "sql" / "migrations").glob("*.sql")}
    if missing := sorted(files - state.steps.keys()):
        return missing  # they may be what adds the columns
    for column in contract.stored:
        if column.name == KEY:
            continue
        wanted = POSTGRES_TYPES[column.type]
        if column.name not in state.columns:
            missing.append(f"column {column.name}")
        elif (found := state.columns[column.name][0]) != wanted:
            missing.append(f"type {wanted} of column {column.name}, which is {found}")
    step = contract_step(contract)
    return missing or [step] * (step not in state.steps)


def stale_comments(state: SchemaState, contract: Contract) -> list[Column]:
    """Return the columns of table `applications` whose comment differs from the contract."""
    return [
        column
        for column in contract.stored
        if column.name != KEY
        and state.columns.get(column.name, ("", None))[1] != column_comment(column)
    ]


def has_service_level(state: SchemaState, contract: Contract) -> bool:
    """Return True if the service level in the database equals the contract's service level."""
    return state.service_level == contract.service_level.model_dump()


def has_desk_rules(state: SchemaState, contract: Contract) -> bool:
    """Return True if the rules of the desk in the database equal those of the contract."""
    return state.desk_rules == contract.desk_rules


def column_comment(column: Column) -> str:
    """Return the comment of a contract's column in the database."""
    unit = f", {column.unit}" if column.unit else ""
    if isinstance(column, FeatureColumn):
        return f"{column.label}{unit}; {FEATURE}{column.source}"
    return f"{column.label}{unit}; known at {column.known}; {_source(column)}"


def contract_step(contract: Contract) -> str:
    """Return the name under which table `schema_migrations` records a contract's columns.

    The name depends on the names and types of the columns, and not on labels, ranges or thresholds.
    """
    shape = sorted((column.name, POSTGRES_TYPES[column.type]) for column in contract.stored)
    return f"contract-{hashlib.sha256(repr(shape).encode()).hexdigest()[:12]}"


def _source(column: Column) -> str:
    if column.made_from:
        return f"made from each {column.made_from}"
    return f"source column{'s' * (len(column.sources) > 1)} {', '.join(column.sources)}"
