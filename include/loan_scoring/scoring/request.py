"""Score some applications that are handed over as JSON, as a night would; they are not stored.

Nothing heavy is imported until the first call: a web server starts without scikit-learn.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.database.partitions import ensure_partition
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError
from loan_scoring.models import registry
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.scoring.fields import Application, typed_applications

if TYPE_CHECKING:
    import pyarrow as pa

    from loan_scoring.models.scorer import Scorer

log = logging.getLogger(__name__)

CHAMPION = "champion"
"""The name that stands for the models in use."""


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


def _one_thread(scorer: "Scorer", table: "pa.Table") -> "pa.Table":
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # as a mini-batch has it: the same arithmetic
        return scorer.score(table)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    from loan_scoring.models.reasons import REASONS

    reasons = [row.pop(name) for name in REASONS]
    return row | {"reasons": [reason for reason in reasons if reason is not None]}
