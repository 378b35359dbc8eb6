"""Score some applications that are handed over as JSON, as a night would; they are not stored.

Nothing heavy is imported until the first call: a web server starts without scikit-learn.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loan_scoring import database
from loan_scoring.contract import KEY, Column, Contract
from loan_scoring.database.partitions import ensure_partition
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError, Fault, InputError
from loan_scoring.models import registry
from loan_scoring.models.registry import PERSONAS, PROPENSITY

if TYPE_CHECKING:
    import pyarrow as pa

    from loan_scoring.models.scorer import Scorer

log = logging.getLogger(__name__)

CHAMPION = "champion"
"""The name that stands for the models in use."""

Application = Mapping[str, Any]
"""Fields by the contract's names: text, a number, or None."""


@dataclass(frozen=True)
class ScoredRequest:
    """What scoring some applications came to."""

    propensity_version: str
    personas_version: str
    scores: list[dict[str, Any]]
    """One of each application, in their order: the columns of `scores`, the reasons as a list."""
    seconds: float
    call_id: str | None = None


def score_and_record(
    session: Session,
    applications: Sequence[Application],
    model: str,
    user: str,
    purpose: str = "score",
) -> ScoredRequest:
    """Score as `score` does, and put input and output on record in `calls`.

    Args:
        session: of the application's role.
        user: who asks, as `airflow:NAME`.
        purpose: score or what_if.
    """
    found = score_applications(session, applications, model)
    now = datetime.now(UTC)
    ensure_partition(session.connection, "calls", now.date().isoformat())
    with database.transaction(session.connection):
        row = database.row(
            session.connection,
            "insert_call",
            called_on=now.date(),
            called_at=now,
            called_by=user,
            purpose=purpose,
            propensity_version=found.propensity_version,
            personas_version=found.personas_version,
            applications=len(applications),
            input=json.dumps([dict(each) for each in applications]),
            output=json.dumps(found.scores),
            seconds=found.seconds,
        )
    assert row is not None  # noqa: S101 - INSERT ... RETURNING gives its row
    return ScoredRequest(
        found.propensity_version,
        found.personas_version,
        found.scores,
        found.seconds,
        str(row["call_id"]),
    )


def score_applications(
    session: Session, applications: Sequence[Application], model: str = CHAMPION
) -> ScoredRequest:
    """Score applications with the champions, or with the pair that a version was fitted in.

    They are parsed and judged by the contract as the rows of a file are; `known_key` alone is not
    asked, for nothing is taken in. The scores are those of a night, of a logistic regression to
    the twelfth decimal. The database is only read.

    Raises:
        InputError: an application breaks a rule; every fault names its field.
        StateError: no model is in use, the version is not there, or its artifact is changed.
        BusyError: other applications are being scored.
    """
    started = time.monotonic()
    scorer, versions = load_pair(session, model)
    table = typed_applications(session.contract, applications, scorer.columns)
    with _turn():
        scored = _one_thread(scorer, table)
    rows = table.select([KEY]).to_pylist()
    told = [
        key | _told(row) | {f"{kind}_version": versions[kind] for kind in registry.KINDS}
        for key, row in zip(rows, scored.to_pylist(), strict=True)
    ]
    seconds = time.monotonic() - started
    return ScoredRequest(versions[PROPENSITY], versions[PERSONAS], told, seconds)


def explain_application(
    session: Session, application: Application, model: str
) -> tuple[float, dict[str, float]] | None:
    """Return the base, and what each feature adds to the log-odds of one application.

    None where the contract excludes the application: no model judges it. Raises as `score` does.
    """
    scorer, _ = load_pair(session, model)
    table = typed_applications(session.contract, [application], scorer.columns)
    with _turn():
        return scorer.explain(table)


_working = threading.Lock()
"""One score at a time in a process: models share threads and remember what they encoded."""
BUSY_SECONDS = 5.0
"""How long a call waits for its turn: as many as there are would hold up all of a web server."""


@contextmanager
def _turn() -> Iterator[None]:
    if not _working.acquire(timeout=BUSY_SECONDS):
        raise BusyError(f"other applications have been scored for {BUSY_SECONDS:g} s; try again")
    try:
        yield
    finally:
        _working.release()


_scorers: dict[tuple[str, ...], "Scorer"] = {}
MOST_SCORERS = 4


def load_pair(session: Session, model: str) -> tuple["Scorer", dict[str, str]]:
    """Return the scorer of `champion` or a version, loaded once a process, and its versions.

    Artifacts are held against their sha256 when they are loaded; another artifact is another entry.
    """
    contract = session.contract
    with database.transaction(session.connection):
        if model == CHAMPION:
            versions = dict(zip(registry.KINDS, registry.champion_pair(session), strict=True))
        else:
            versions = registry.fitted_pair(session, model)
        hashes = [
            registry.model_row(session, versions[kind])["artifact_sha256"]
            for kind in registry.KINDS
        ]
    key = (contract.portfolio, *hashes)
    scorer = _scorers.get(key)
    if scorer is not None and scorer.contract == contract:
        return scorer, versions
    with _turn():
        scorer = _scorers.get(key)
        if scorer is None or scorer.contract != contract:
            with database.transaction(session.connection):
                scorer = registry.load_scorer(session, versions[PROPENSITY], versions[PERSONAS])
            _scorers.pop(key, None)
            while len(_scorers) >= MOST_SCORERS:
                del _scorers[next(iter(_scorers))]
            _scorers[key] = scorer
    return scorer, versions


def typed_applications(
    contract: Contract, applications: Sequence[Application], needed: Sequence[str] = ()
) -> "pa.Table":
    """Return applications as typed columns; a field that is left out is null.

    Args:
        needed: fields that every application must have, with a value or null; the key always.

    Raises:
        InputError: an application breaks a rule.
    """
    import numpy as np
    import pyarrow as pa

    from loan_scoring.ingest.files.blocks import Block
    from loan_scoring.ingest.row_rules import RowRules

    faults = _shape_faults(contract, applications, {KEY, *needed})
    if faults:
        raise InputError(faults)
    text = {
        column.source: pa.array(
            [_text(each.get(column.name)) for each in applications], pa.string()
        )
        for column in contract.columns
    }
    block = Block(pa.table(text), np.arange(len(applications)), [])
    rows, rejected = RowRules(contract).apply(block)
    if rejected:
        raise InputError(
            [
                _fault(contract, each.line_number, rule)
                for each in sorted(rejected, key=lambda each: each.line_number)
                for rule in each.rules
            ]
        )
    return rows


def _one_thread(scorer: "Scorer", table: "pa.Table") -> "pa.Table":
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # as a mini-batch has it: the same arithmetic
        return scorer.score(table)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    from loan_scoring.models.contributions import REASONS

    reasons = [row.pop(name) for name in REASONS]
    return row | {"reasons": [reason for reason in reasons if reason is not None]}


def _shape_faults(
    contract: Contract, applications: Sequence[Application], needed: set[str]
) -> list[Fault]:
    found = []
    for row, application in enumerate(applications):
        for name in [name for name in contract.by_name if name in needed - application.keys()]:
            message = "is missing; give its value, or null where there is none"
            found.append(Fault(row, name, "missing", message))
        for name, value in application.items():
            if name not in contract.by_name:
                # Half of a surrogate pair is no text that an answer could repeat.
                said = name.encode("utf-8", "backslashreplace").decode()
                found.append(Fault(row, said, "unknown_field", "is no field of the contract"))
            elif not _is_plain(value):
                message = "is neither text nor a number nor null"
                found.append(Fault(row, name, "not_plain", message))
            elif isinstance(value, str) and not is_storable(value):
                message = "holds a character that no text may hold (NUL, or half of a pair)"
                found.append(Fault(row, name, "encoding", message))
    return found


def _is_plain(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def is_storable(text: str) -> bool:
    """Say whether Postgres can hold a text: no NUL, and no surrogate outside its pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    # repr gives a float's shortest text that reads back as the same float.
    return value if isinstance(value, str) else repr(value)


def _fault(contract: Contract, row: int, broken: str) -> Fault:
    """Say in words which rule `rule:column` a row breaks."""
    rule, _, name = broken.partition(":")
    column = contract.by_name[name]
    if rule == "not_a_number":
        message = "is no whole number" if column.type == "integer" else "is no number"
    elif rule == "out_of_range":
        message = f"is outside {_range(column)}"
    elif rule == "unknown_level":
        message = f"is none of {', '.join(column.levels or [])}"
    elif rule == "null_key":
        message = "has no value; it is the key"
    elif rule == "duplicate_key":
        message = "stands on two applications of this call"
    else:
        ratio = next(each for each in contract.ratios if each.name == rule)
        message = (
            f"is not {ratio.scale:g} x {ratio.numerator} / {ratio.denominator}; "
            "give those that belong together, or null"
        )
    return Fault(row, name, rule, message)


def _range(column: Column) -> str:
    low, high = column.range or (None, None)
    return f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"


def example_application(contract: Contract) -> dict[str, Any]:
    """Return an application as the contract would take it, to show what one looks like."""
    told: dict[str, Any] = {}
    for column in contract.columns:
        if not (column.is_known_at_application or column.name == KEY):
            continue
        if not column.is_numeric:
            told[column.name] = (column.levels or ["A-1"])[0]
            continue
        quantiles = column.margin.quantiles if column.margin else None
        middle = quantiles[3] if quantiles else next((e for e in column.range or () if e), 1)
        told[column.name] = int(middle) if column.type == "integer" else float(middle)
    for ratio in contract.ratios:
        told[ratio.column] = ratio.scale * told[ratio.numerator] / told[ratio.denominator]
    return told
