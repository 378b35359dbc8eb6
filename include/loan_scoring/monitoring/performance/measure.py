"""Measure the performance of a scored batch: estimated at once, realised when outcomes arrive."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.baseline import predictions_of_other_policy
from loan_scoring.monitoring.alerts.causes import CONCEPT, BatchCause
from loan_scoring.monitoring.alerts.grouping import outcome_cause
from loan_scoring.monitoring.alerts.store import record_causes
from loan_scoring.monitoring.drift.decide import TestVerdict
from loan_scoring.monitoring.drift_rows import write_drift
from loan_scoring.monitoring.performance.batch import (
    ScoredBatch,
    classification_errors,
    read_scored_batch,
)
from loan_scoring.monitoring.performance.coverage import has_enough_outcomes, outcome_coverage
from loan_scoring.monitoring.performance.ddm import ddm_level
from loan_scoring.monitoring.performance.figures import (
    REALISED,
    FairnessFigure,
    PerformanceFigure,
    fairness_figures,
    figures_after_outcomes,
    figures_before_outcomes,
    without_decisions,
)
from loan_scoring.monitoring.performance.loss import ALL
from loan_scoring.monitoring.performance.outcome_tests import (
    KINDS,
    DriftedOutcome,
    judge_outcomes,
    outcome_tests,
)
from loan_scoring.monitoring.performance.write import write_fairness, write_figures

log = logging.getLogger(__name__)

Errors = dict[tuple[str, float, int], np.ndarray]
"""Whether the predicted class was wrong, for each loan that has an outcome.

The key is the id of the scoring run, the threshold of the predicted class, and the last change of
outcomes before the outcomes were read.
"""


@dataclass(frozen=True)
class MeasuredPerformance:
    """What was measured of a scoring run, to be written: figures, fairness, tests and causes.

    `as_of` is the last change of outcomes that the measurement has seen, or None if there was none.
    """

    as_of: int | None
    figures: list[PerformanceFigure]
    fairness: list[FairnessFigure]
    verdicts: list[TestVerdict]
    causes: list[BatchCause]


def measure_run(
    session: Session,
    run: database.Row,
    known: Errors | None = None,
    write_more: Callable[[], None] | None = None,
) -> bool:
    """Measure a scoring run and write performance, fairness, tests of outcomes and `concept`.

    Reading and computing take seconds and happen outside of the lock on the batch. One transaction
    then takes the lock, checks that the run is still current and that no outcome has changed since
    the reading, and writes. If an outcome has changed, the run is measured again. A second call
    with the same scores and outcomes writes the same rows.

    Args:
        session: database session without an open transaction.
        run: row of the scoring run.
        known: cache of the classification errors of earlier runs. Several calls can share the
            cache, and each call adds the errors that it reads.
        write_more: writes further rows of the run in the same transaction.

    Returns:
        Whether the rows were written. If the batch was scored again meanwhile, nothing is written.
    """
    while True:
        with database.snapshot(session.connection):
            measured = measure_performance(session, run, known)
        with database.transaction(session.connection):
            database.lock(session.connection, f"batch:{run['batch_id']}")
            current = database.row(
                session.connection, "select_current_run", batch_id=run["batch_id"]
            )
            if current is None or current["scoring_run_id"] != run["scoring_run_id"]:
                return False
            is_unmoved = _last_change(session) == measured.as_of
            if is_unmoved:
                _write(session, run, measured)
                if write_more is not None:
                    write_more()
        if is_unmoved:
            for each in measured.causes:
                log.warning("batch %s: %s", run["batch_id"], each.message)
            return True
        log.info("%s: outcomes arrived meanwhile, measuring again", run["scoring_run_id"])


def measure_performance(
    session: Session, run: database.Row, known: Errors | None = None
) -> MeasuredPerformance:
    """Read and compute performance and fairness of a scoring run, and write nothing.

    There are realised figures, tests of outcomes and the cause `concept` only if enough scored
    loans have an outcome: at least the contract's `mature_share`.

    Args:
        session: database session. Its queries should see one snapshot.
        run: row of the scoring run.
        known: cache of the classification errors of earlier runs.
    """
    session = session.under(run)
    contract = session.contract
    model = registry.model_row(session, run["propensity_version"])
    as_of = _last_change(session)
    batch = read_scored_batch(session, run)
    is_mature = has_enough_outcomes(contract, int(batch.known.sum()), len(batch.outcome))
    if "decision" in predictions_of_other_policy(run, model):
        model = without_decisions(model)
    figures = figures_before_outcomes(contract, model, batch)
    verdicts: list[TestVerdict] = []
    findings: list[DriftedOutcome] = []
    facts: dict[str, Any] = {}
    if is_mature:
        earlier = _earlier_errors(session, run, {} if known is None else known, as_of or 0)
        figures += figures_after_outcomes(contract, model, batch, earlier)
        facts = _facts(model, batch, figures)
        verdicts, findings = _judge(contract, model, batch, facts)
    return MeasuredPerformance(
        as_of,
        figures,
        fairness_figures(contract, batch, is_mature),
        verdicts,
        outcome_cause(contract, findings, facts),
    )


def _last_change(session: Session) -> int | None:
    change = database.row(session.connection, "select_last_outcome_change")
    return change["change_id"] if change else None


def _write(session: Session, run: database.Row, measured: MeasuredPerformance) -> None:
    run_id = run["scoring_run_id"]
    write_figures(session, run, measured.figures, measured.as_of)
    write_fairness(session, run, measured.fairness)
    write_drift(session, run_id, [*KINDS.values()], KINDS, measured.verdicts)
    record_causes(session, run_id, (CONCEPT,), measured.causes)


def _earlier_errors(session: Session, run: database.Row, known: Errors, as_of: int) -> np.ndarray:
    """Return the classification errors of earlier mature batches that the same model scored."""
    threshold = session.contract.decision.decline_from
    parts = [np.zeros(0, dtype=bool)]
    for each in outcome_coverage(session):
        is_of_model = each.propensity_version == run["propensity_version"] and not each.is_dropped
        if each.is_mature and is_of_model and each.batch_id < run["batch_id"]:
            key = each.scoring_run_id, threshold, as_of
            if key not in known:
                known[key] = classification_errors(session, vars(each), threshold)
            parts.append(known[key])
    return np.concatenate(parts)


def _facts(
    model: database.Row, batch: ScoredBatch, figures: Sequence[PerformanceFigure]
) -> dict[str, Any]:
    """Return the figures for the message of an alert on a batch's outcomes, as JSON values."""
    realised = {
        each.metric: each.estimate.value
        for each in figures
        if each.basis == REALISED and each.segment == ALL
    }
    distance = realised["ddm"] if np.isfinite(realised["ddm"]) else None
    return {
        "loans": int(batch.known.sum()),
        "default_rate": realised["default_rate"],
        "mean_probability": float(batch.probability[batch.known].mean()),
        "auc": realised.get("auc"),
        "ddm": distance,
        "ddm_level": ddm_level(distance),
        "holdout_auc": model["metrics"].get("auc"),
        "holdout_default_rate": model["metrics"].get("default_rate"),
    }


def _judge(
    contract: Contract, model: database.Row, batch: ScoredBatch, facts: dict[str, Any]
) -> tuple[list[TestVerdict], list[DriftedOutcome]]:
    tests = outcome_tests(
        contract.performance,
        model["metrics"],
        batch.outcome[batch.known].astype(int),
        batch.probability[batch.known],
        float("nan") if facts["ddm"] is None else facts["ddm"],
    )
    return judge_outcomes(contract.performance, contract.monitoring.q, tests)
