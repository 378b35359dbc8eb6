"""Score and explain the applications of a request with the models and rules that batches use.

Heavy packages such as scikit-learn are imported at the first call, so that a web server starts
fast.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.business_dates import local_time
from loan_scoring.database.partitions import ensure_partition
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError
from loan_scoring.models import registry
from loan_scoring.models.registry import PERSONAS, PROPENSITY
from loan_scoring.scoring.fields import Application, typed_applications

if TYPE_CHECKING:
    import pyarrow as pa
    from threadpoolctl import ThreadpoolController

    from loan_scoring.features.lookups import KnownBy
    from loan_scoring.models.scorer import Scorer

log = logging.getLogger(__name__)

CHAMPION = "champion"
"""Value of the argument `model` that selects the champions instead of a model version."""


@dataclass(frozen=True)
class ScoredRequest:
    """The scores of a request's applications, with the model versions and the time."""

    propensity_version: str
    personas_version: str
    scores: list[dict[str, Any]]
    """One score for each application, in the order of the request.

    Each score has the loan_id, the score columns of table `scores`, and the model versions. The
    columns `reason_1` to `reason_4` are replaced by the list `reasons`.
    """
    seconds: float
    call_id: str | None = None


def score_and_record(
    session: Session,
    applications: Sequence[Application],
    model: str,
    user: str,
    purpose: str = "score",
    known_by: "KnownBy | None" = None,
) -> ScoredRequest:
    """Score applications, and record the input and the scores in table `calls`.

    Args:
        session: database session of the application role.
        applications: applications to score, each with its fields by name.
        model: `champion` or a model version.
        user: person who calls, as `airflow:NAME`.
        purpose: `score` or `what_if`.
        known_by: what may be known of look-ups. By default, all that is known today.

    Raises:
        InputError, StateError, BusyError: as in `score_applications`.
    """
    found = score_applications(session, applications, model, known_by)
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
    assert row is not None  # noqa: S101 - INSERT ... RETURNING returns the new row
    return ScoredRequest(
        found.propensity_version,
        found.personas_version,
        found.scores,
        found.seconds,
        str(row["call_id"]),
    )


def score_applications(
    session: Session,
    applications: Sequence[Application],
    model: str = CHAMPION,
    known_by: "KnownBy | None" = None,
) -> ScoredRequest:
    """Score applications with the champions, or with a model version.

    Each training fits a propensity model and a personas model together. If `model` is the version
    of either model, both models of that training are used.

    Applications are parsed and checked like the rows of a file, but without the rule `known_key`,
    because nothing is stored. The database is only read.

    A tree model gives the same scores here as in a batch, to the last bit. The scores of a
    logistic regression can differ from the scores in a batch after the twelfth decimal.

    Raises:
        InputError: an application breaks a rule. Every validation error names the field.
        StateError: there is no champion, the version does not exist, or an artifact was changed.
        BusyError: another request is being scored in this process.
    """
    started = time.monotonic()
    scorer, versions = load_pair(session, model)
    table = _typed(session, scorer, applications, known_by)
    scored = score_rows(scorer, table)
    rows = table.select([KEY]).to_pylist()
    scores = [
        key | _with_reasons(row) | {f"{kind}_version": versions[kind] for kind in registry.KINDS}
        for key, row in zip(rows, scored.to_pylist(), strict=True)
    ]
    seconds = time.monotonic() - started
    return ScoredRequest(versions[PROPENSITY], versions[PERSONAS], scores, seconds)


def explain_application(
    session: Session, application: Application, model: str, known_by: "KnownBy | None" = None
) -> tuple[float, dict[str, float], dict[str, Any]] | None:
    """Return the base log-odds of one application, contributions by feature, and derived values.

    The derived values are those of look-ups and of features, by name. Return None if an exclusion
    of the contract applies to the application.

    Raises:
        InputError, StateError, BusyError: as in `score_applications`.
    """
    scorer, _ = load_pair(session, model)
    table = _typed(session, scorer, [application], known_by)
    with _turn():
        found = scorer.explain(table)
    if found is None:
        return None
    from loan_scoring.features.compute import compute_features

    columns = scorer.contract.derived.columns
    derived = [name for name in scorer.propensity_features if name in columns]
    values = compute_features(scorer.contract, table, derived).select(derived).to_pylist()
    return *found, values[0] if derived else {}


def _typed(
    session: Session,
    scorer: "Scorer",
    applications: Sequence[Application],
    known_by: "KnownBy | None",
) -> "pa.Table":
    """Return applications as a table with all columns that a scorer reads."""
    from loan_scoring.features.applications import columns_of_file
    from loan_scoring.features.lookups import KnownBy

    needed = columns_of_file(scorer.contract, scorer.columns)
    table = typed_applications(session.contract, applications, needed)
    known_by = known_by or KnownBy(local_time(session.contract.schedules.timezone).date())
    return with_lookups(session, scorer, table, known_by)


def with_lookups(
    session: Session, scorer: "Scorer", table: "pa.Table", known_by: "KnownBy"
) -> "pa.Table":
    """Return typed applications with the columns of look-ups that a scorer reads."""
    from loan_scoring.features.lookups import join_lookups

    if not scorer.contract.lookups:
        return table
    own = Session(scorer.contract, session.connection)
    with database.transaction(session.connection):
        return join_lookups(own, table, scorer.columns, known_by)


def score_rows(scorer: "Scorer", table: "pa.Table") -> "pa.Table":
    """Return the scores of typed applications, as `Scorer.score` does. The API and streams use it.

    Raises:
        BusyError: another request is being scored in this process.
    """
    with _turn():
        return _one_thread(scorer, table)


_working = threading.Lock()
"""Lock that a request holds while models are loaded and while applications are scored.

Only one request at a time holds the lock, because models share threads and caches.
"""
BUSY_SECONDS = 5.0
"""Maximum time that a request waits for the lock `_working`, in seconds.

The maximum is small because each waiting request occupies a thread of the web server.
"""


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


_scorers: dict[tuple[str, ...], tuple[Contract, "Scorer"]] = {}
"""Loaded scorers, each with the contract under which it was loaded."""
MOST_SCORERS = 4


def load_pair(session: Session, model: str) -> tuple["Scorer", dict[str, str]]:
    """Return the scorer of the champions or of a model version, and the model versions by kind.

    A process keeps loaded scorers in a cache. The sha256 of each artifact is checked when the
    artifact is loaded, and is part of the cache key.

    Args:
        session: database session of the portfolio.
        model: `champion` or a model version.

    Raises:
        StateError: there is no champion, the version does not exist, or an artifact was changed.
        BusyError: another request is being scored in this process.
    """
    contract = session.contract
    with database.transaction(session.connection):
        if model == CHAMPION:
            versions = dict(zip(registry.KINDS, registry.champion_pair(session), strict=True))
        else:
            versions = registry.fitted_pair(session, model)
        found = database.rows(
            session.connection, "select_artifact_hashes", versions=[*versions.values()]
        )
    hashes = {row["kind"]: row["artifact_sha256"] for row in found}
    key = (contract.portfolio, *(hashes[kind] for kind in registry.KINDS))
    known = _scorers.get(key)
    if known is not None and known[0] == contract:
        return known[1], versions
    with _turn():
        known = _scorers.get(key)
        if known is not None and known[0] == contract:
            scorer = known[1]
        else:
            with database.transaction(session.connection):
                scorer = registry.load_scorer(session, versions[PROPENSITY], versions[PERSONAS])
            _scorers.pop(key, None)
            while len(_scorers) >= MOST_SCORERS:
                del _scorers[next(iter(_scorers))]
            _scorers[key] = (contract, scorer)
            _thread_pools.cache_clear()
    return scorer, versions


def _one_thread(scorer: "Scorer", table: "pa.Table") -> "pa.Table":
    # Use one thread, as mini-batches do, because with several threads the last bit of a score can
    # change.
    with _thread_pools().limit(limits=1):
        return scorer.score(table)


@cache
def _thread_pools() -> "ThreadpoolController":
    """Return the thread pools of the process. To find them takes longer than to score a row.

    They are searched after each loading of models, which may load a library with a pool.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _with_reasons(row: dict[str, Any]) -> dict[str, Any]:
    from loan_scoring.models.reasons import REASONS

    reasons = [row.pop(name) for name in REASONS]
    return row | {"reasons": [reason for reason in reasons if reason is not None]}
