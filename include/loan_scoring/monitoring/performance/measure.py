"""Measure the performance of a scored batch: estimated at once, realised when outcomes arrive."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.baseline import predictions_of_other_policy
from loan_scoring.monitoring.alerts.causes import CONCEPT
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
    PerformanceFigure,
    fairness_figures,
    figures_after_outcomes,
    figures_before_outcomes,
    holdout_curve,
    without_decisions,
)
from loan_scoring.monitoring.performance.loss import ALL
from loan_scoring.monitoring.performance.outcome_tests import (
    KINDS,
    DriftedOutcome,
    judge_outcomes,
    outcome_tests,
)
from loan_scoring.monitoring.performance.reviewed import (
    approval_in_effect,
    fairness_in_effect,
    read_reviewed_batch,
)
from loan_scoring.monitoring.performance.segments import segment_figures, standing_out
from loan_scoring.monitoring.performance.write import (
    write_fairness,
    write_figures,
    write_segments,
)

log = logging.getLogger(__name__)

Errors = dict[tuple[str, float, int], np.ndarray]
"""Whether the predicted class was wrong, for each loan that has an outcome.

The key is the id of the scoring run, the threshold of the predicted class, and the last change of
outcomes before the outcomes were read.
"""


def measure_performance(session: Session, run: database.Row, known: Errors | None = None) -> None:
    """Write performance and fairness of a scoring run, in the caller's transaction.

    Realised figures, tests of outcomes and the cause `concept` are written only if enough scored
    loans have an outcome: at least the contract's `mature_share`. A second call with the same
    scores and outcomes writes the same rows.

    Args:
        run: row of the scoring run. The caller has locked the run's batch.
        known: cache of the classification errors of earlier runs. Several calls can share the
            cache, and each call adds the errors that it reads.
    """
    session = session.under(run)
    contract = session.contract
    model = registry.model_row(session, run["propensity_version"])
    # Read the last change before the outcomes. If a change is committed between the two reads, the
    # figures count as out of date, and `restate_performance` measures the run again.
    change = database.row(session.connection, "select_last_outcome_change")
    as_of = change["change_id"] if change else None
    # For the same reason decisions of people are counted before they are read.
    database.execute(session.connection, "update_measured_decisions", batch_id=run["batch_id"])
    batch = read_scored_batch(session, run)
    reviewed = read_reviewed_batch(session, run)
    is_mature = has_enough_outcomes(contract, int(batch.known.sum()), len(batch.outcome))
    if "decision" in predictions_of_other_policy(run, model):
        model = without_decisions(model)
    figures = figures_before_outcomes(contract, model, batch) + approval_in_effect(reviewed)
    true = holdout_curve(model).corrected(batch.probability)
    segments = segment_figures(contract, batch, true, is_mature)
    verdicts: list[TestVerdict] = []
    findings: list[DriftedOutcome] = []
    facts: dict[str, Any] = {}
    if is_mature:
        earlier = _earlier_errors(session, run, {} if known is None else known, as_of or 0)
        figures += figures_after_outcomes(contract, model, batch, earlier)
        facts = _facts(model, batch, figures) | {"segments": standing_out(segments)}
        verdicts, findings = _judge(contract, model, batch, facts)
    write_figures(session, run, figures, as_of)
    compared = fairness_figures(contract, batch, is_mature) + fairness_in_effect(contract, reviewed)
    write_fairness(session, run, compared)
    write_segments(session, run, segments)
    write_drift(session, run["scoring_run_id"], [*KINDS.values()], KINDS, verdicts)
    causes = outcome_cause(contract, findings, facts)
    record_causes(session, run["scoring_run_id"], (CONCEPT,), causes)
    for each in causes:
        log.warning("batch %s: %s", run["batch_id"], each.message)


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
