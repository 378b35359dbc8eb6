"""Score and explain applications of a request, as in a night, without storing them.

Heavy packages are imported at the first call: a web server starts without scikit-learn.
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
"""The name of the models in use, in place of a version."""


@dataclass(frozen=True)
class ScoredRequest:
    """The result of scoring the applications of a request."""

    propensity_version: str
    personas_version: str
    scores: list[dict[str, Any]]
    """One per application, in their order: the columns of `scores`, with the reasons as a list."""
    seconds: float
    call_id: str | None = None


def score_and_record(
    session: Session,
    applications: Sequence[Application],
    model: str,
    user: str,
    purpose: str = "score",
) -> ScoredRequest:
    """Score as `score_applications` does, and record input and output in the table calls.

    Args:
        session: with the rights of the application role.
        applications: as for `score_applications`.
        model: `champion` or a version.
        user: who calls, as `airflow:NAME`.
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
    """Score applications by the champions, or by the pair that was fitted with a version.

    They are parsed and checked as the rows of a file, without the rule `known_key`: nothing is
    stored. The scores equal those of a night, of a logistic regression to 12 decimals. The database
    is only read.

    Raises:
        InputError: an application breaks a rule; every fault names its field.
        StateError: there is no champion or no such version, or its artifact was changed.
        BusyError: other applications are being scored.
    """
    started = time.monotonic()
    scorer, versions = load_pair(session, model)
    table = typed_applications(session.contract, applications, scorer.columns)
    with _turn():
        scored = _one_thread(scorer, table)
    rows = table.select([KEY]).to_pylist()
    scores = [
        key | _with_reasons(row) | {f"{kind}_version": versions[kind] for kind in registry.KINDS}
        for key, row in zip(rows, scored.to_pylist(), strict=True)
    ]
    seconds = time.monotonic() - started
    return ScoredRequest(versions[PROPENSITY], versions[PERSONAS], scores, seconds)


def explain_application(
    session: Session, application: Application, model: str
) -> tuple[float, dict[str, float]] | None:
    """Return the base log-odds of one application, and the contribution of each feature.

    None if the contract excludes the application. Raises as `score_applications` does.
    """
    scorer, _ = load_pair(session, model)
    table = typed_applications(session.contract, [application], scorer.columns)
    with _turn():
        return scorer.explain(table)


_working = threading.Lock()
"""Held while scoring: one at a time in a process, as models share threads and caches."""
BUSY_SECONDS = 5.0
"""The longest wait for other calls: waiting calls use up the threads of the web server."""


@contextmanager
def _turn() -> Iterator[None]:
    if not _working.acquire(timeout=BUSY_SECONDS):
        raise BusyError(
            f"other applications are being scored, for {BUSY_SECONDS:g} s now; try again"
        )
    try:
        yield
    finally:
        _working.release()


_scorers: dict[tuple[str, ...], "Scorer"] = {}
MOST_SCORERS = 4


def load_pair(session: Session, model: str) -> tuple["Scorer", dict[str, str]]:
    """Return the scorer of `champion` or a version, loaded once per process, and its versions.

    The sha256 of an artifact is checked when it is loaded, and is part of the cache's key.

    Raises:
        StateError: there is no champion or no such version, or its artifact was changed.
        BusyError: other applications are being scored.
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

    with threadpool_limits(limits=1):  # as for a mini-batch: the same arithmetic
        return scorer.score(table)


def _with_reasons(row: dict[str, Any]) -> dict[str, Any]:
    from loan_scoring.models.contributions import REASONS

    reasons = [row.pop(name) for name in REASONS]
    return row | {"reasons": [reason for reason in reasons if reason is not None]}
