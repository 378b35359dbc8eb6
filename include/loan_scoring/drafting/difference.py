"""Compare a contract with the one by which the stored batches were read, and say what follows."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection
from pydantic import ValidationError

from loan_scoring import contract as contracts
from loan_scoring import database
from loan_scoring.contract import (
    HISTORY,
    Contract,
    outcome_rules_sha256,
    row_rules_sha256,
    target_sha256,
)
from loan_scoring.database.contract_columns import refusal_to_migrate
from loan_scoring.database.refusals import one_line_refusals
from loan_scoring.database.schema_state import (
    SchemaState,
    missing_steps,
    read_state,
    stale_comments,
)
from loan_scoring.models.training.rows import NOT_FITTED

ABSENT = "(absent)"
NOT_FITTED_WHOLE = {part for part, fields in NOT_FITTED.items() if fields is True}
NO_INFLUENCE = ("optional", "max_null_share", "critical_null_share")
"""Fields of columns that are in a training's fingerprint, but change nothing that is fitted.

To leave them out of the fingerprint would change the fingerprint of every contract.
"""
Change = tuple[str, Any, Any]
"""A field, with its stored value and its value in the file."""


def compare_contract(portfolio: str, url: str) -> dict[str, Any]:
    """Return the result of the command `contract diff`: changed fields, effects and `text`.

    Nothing is written, and a schema that is behind the contract is no error.

    Raises:
        ContractError: the contract is missing or not valid.
        DatabaseError: the server cannot be reached.
    """
    contract = contracts.load(portfolio)
    with closing(database.connect(portfolio, url)) as connection, one_line_refusals(connection):
        state = read_state(connection)
        if state is None:
            text = f"{portfolio}: nothing is stored yet; the first ingest sets all up"
            return {"changed": [], "effects": [], "text": text}
        stored = _last_contract(connection)
        changed = [*_changes(stored["contract"], contract)] if stored else []
        effects = [*_migration(connection, state, contract)]
        if not any(kind == "refused" for kind, _ in effects):  # else nothing else would happen
            effects += _read_anew(connection, contract)
            effects += _later(stored["contract"], contract) if stored else ()
    since = f"the one by which batch {stored['batch_id']} was read" if stored else None
    count = "1 field differs" if len(changed) == 1 else f"{len(changed)} fields differ"
    lines = (
        [f"{portfolio}: {count} from {since}"]
        if since
        else [f"{portfolio}: no contract is stored before the next batch lands; compared by hashes"]
    )
    lines += [f"  {field}: {_shown(old)} -> {_shown(new)}" for field, old, new in changed]
    lines += [f"{kind}: {what}" for kind, what in effects] or ["nothing is to be done"]
    return {
        "changed": [dict(zip(("field", "stored", "now"), each, strict=True)) for each in changed],
        "effects": [{"kind": kind, "what": what} for kind, what in effects],
        "text": "\n".join(lines),
    }


def _last_contract(connection: Connection) -> database.Row | None:
    try:
        with database.transaction(connection):
            return database.row(connection, "select_last_contract")
    except psycopg2.errors.UndefinedTable:  # the schema is behind this release
        return None


def _changes(stored: dict[str, Any], contract: Contract) -> Iterator[Change]:
    """Yield the fields that differ. A field that the stored contract does not know is left out."""
    old, new = _flat(_with_defaults(stored)), _flat(json.loads(contract.model_dump_json()))
    for field in dict.fromkeys([*old, *new]):
        before, now = old.get(field, ABSENT), new.get(field, ABSENT)
        if before != now:
            yield field, before, now


def _with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored contract with the fields that later releases added, at their defaults."""
    try:
        found: dict[str, Any] = json.loads(Contract.model_validate(stored).model_dump_json())
    except ValidationError:  # a later release refuses what an earlier one took
        return stored
    return found


def _flat(part: Any, place: str = "") -> dict[str, Any]:
    """Return a contract's fields by their names with dots. Columns and the like go by name."""
    if isinstance(part, dict) and part:
        pairs = [(f"{place}.{key}" if place else str(key), value) for key, value in part.items()]
    elif isinstance(part, list) and part and all(isinstance(each, dict) for each in part):
        named = [(str(each.get("name", number)), each) for number, each in enumerate(part)]
        pairs = [(f"{place}.{name}", each) for name, each in named]
    else:
        return {place: part}
    return {field: value for name, each in pairs for field, value in _flat(each, name).items()}


def _migration(
    connection: Connection, state: SchemaState, contract: Contract
) -> Iterator[tuple[str, str]]:
    missing = missing_steps(state, contract)
    is_behind = any(step.endswith(".sql") for step in missing)  # then tables may be missing too
    refusal = refusal_to_migrate(connection, contract) if missing and not is_behind else None
    if refusal:
        yield "refused", f"`loan-scoring migrate` would refuse this: {refusal}"
    elif missing:
        yield "migration", f"`loan-scoring migrate` brings {', '.join(missing)}"
    elif stale_comments(state, contract):
        yield (
            "migration",
            "`loan-scoring migrate` writes the new labels to the comments of the table",
        )


def _read_anew(connection: Connection, contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield what is read anew from the same bytes, because a rule of reading changed."""
    with database.transaction(connection):
        found = database.rows(connection, "select_rules_in_use")
    now = {"batch": row_rules_sha256(contract), "outcomes": outcome_rules_sha256(contract)}
    target = target_sha256(contract)
    # A rule that an earlier release did not record is empty.
    changed = [each for each in found if each["rules_sha256"] not in ("", now[each["kind"]])]
    batches = [each["name"] for each in changed if each["kind"] == "batch"]
    files = [each["name"] for each in found if each["target_sha256"] not in ("", target)]
    files += [each["name"] for each in changed if each["kind"] == "outcomes"]
    files = [name for name in files if name != f"outcomes-{HISTORY}"]  # it is read with history
    again = "when it is ingested again"
    if batches:
        yield "revision", f"the same bytes are a new revision of {_some(batches)}, each {again}"
    if files:
        yield "outcomes", f"read anew from {_some(files)}, each {again}"


def _later(stored: dict[str, Any], contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield what the next training and the next runs do otherwise."""
    try:
        before = Contract.model_validate(stored)
    except ValidationError:
        yield (
            "new model",
            "the stored contract is of an earlier release, so the next training fits anew",
        )
        return
    if before.model_dump_json(exclude=NOT_FITTED) != contract.model_dump_json(exclude=NOT_FITTED):
        yield "new model", _new_model(stored, contract)
    if before.policy != contract.policy:
        yield "decisions", "batches that are scored from now on; scored ones keep their decisions"
    changed = {
        field.split(".")[0]
        for field, _, _ in _changes(stored, contract)
        if not field.startswith("columns.") or field.endswith(".calendar")
    }
    if judged := sorted(changed & {*NOT_FITTED, "monitoring", "schedules", "retention"}):
        yield "next run", f"{', '.join(judged)} hold from the next run on"


def _new_model(stored: dict[str, Any], contract: Contract) -> str:
    fitted = [
        field
        for field, _, _ in _changes(stored, contract)
        if field.split(".")[0] not in NOT_FITTED_WHOLE
        and not (field.startswith("columns.") and field.rpartition(".")[2] in NO_INFLUENCE)
    ]
    if fitted:
        return "the next training fits new models; until then the champions score on"
    return (
        "the next training fits again, because every field of a column counts as a change; on the "
        "same loans the models are the same, and until then the champions score on"
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 5 else ""
    return ", ".join(names[:4] if more else names) + more


def _shown(value: Any) -> str:
    text = value if value == ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
