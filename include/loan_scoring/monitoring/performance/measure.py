"""Write how good a scored batch is: estimated at once, realised and tested once outcomes are in."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.baseline import predictions_of_other_policy
from loan_scoring.monitoring.alerts.causes import CONCEPT, BatchCause
from loan_scoring.monitoring.alerts.store import record_causes, update_alerts
from loan_scoring.monitoring.drift.decide import TestVerdict
from loan_scoring.monitoring.performance.batch import (
    ScoredBatch,
    classification_errors,
    read_scored_batch,
)
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
    OutcomeFinding,
    judge_outcomes,
    outcome_tests,
)
from loan_scoring.monitoring.performance.words import ddm_level, describe_outcome_cause
from loan_scoring.statistics.intervals import Estimate

log = logging.getLogger(__name__)

Errors = dict[tuple[str, float], np.ndarray]
"""By scoring run and threshold: whether the class predicted for each loan with an outcome was
wrong."""


def restate_performance(session: Session) -> list[str]:
    """Measure anew each current run whose outcomes came since it was measured; return their ids.

    A known outcome never changes, so that counts say exactly what is new: a run is measured again
    where the outcomes of its loans, or those of the stream that DDM reads up to it, are not as many
    as it was measured on. Each run is a transaction that holds its batch: killed anywhere, the next
    call does the rest, and where nothing came nothing is done.
    """
    with database.transaction(session.connection):
        stale = [each for each in outcome_coverage(session) if each.is_stale]
    restated, known = [], Errors()
    for each in stale:
        with database.transaction(session.connection):
            database.lock(session.connection, f"batch:{each.batch_id}")
            run = database.row(session.connection, "select_current_run", batch_id=each.batch_id)
            if run is None or run["scoring_run_id"] != each.scoring_run_id:
                continue  # scored anew meanwhile: metrics measures the new run
            measure_performance(session, run, known)
        restated.append(each.scoring_run_id)
    update_alerts(session)
    if restated:
        log.info("restated %s", ", ".join(restated))
    return restated


def measure_performance(session: Session, run: database.Row, known: Errors | None = None) -> None:
    """Write performance and fairness of a scoring run within the caller's transaction.

    What is realised, its tests and its alerts are written where the contract's `mature_share` of
    the scored loans has an outcome; below it the batch is unknown, and has none of them. The same
    scores and outcomes give the same rows.

    Args:
        run: the row of the run, whose batch the caller has locked.
        known: the errors of other runs, read once for many calls; filled in as they are needed.
    """
    session = session.under(run)
    contract = session.contract
    model = registry.model_row(session, run["propensity_version"])
    batch = read_scored_batch(session, run)
    is_mature = is_enough(contract, int(batch.known.sum()), len(batch.outcome))
    if "decision" in predictions_of_other_policy(run, model):
        model = without_decisions(model)
    found = figures_before_outcomes(contract, model, batch)
    verdicts: list[TestVerdict] = []
    findings: list[OutcomeFinding] = []
    facts: dict[str, Any] = {}
    if is_mature:
        earlier = _earlier_errors(session, run, {} if known is None else known)
        found += figures_after_outcomes(contract, model, batch, earlier)
        facts = _facts(model, batch, found)
        verdicts, findings = _judged(contract, model, batch, facts)
    _write_figures(session, run, found)
    _write_fairness(session, run, fairness_figures(contract, batch, is_mature))
    _write_drift(session, run, verdicts)
    found_cause = _cause(contract, findings, facts)
    record_causes(session, run["scoring_run_id"], (CONCEPT,), found_cause)
    for each in found_cause:
        log.warning("batch %s: %s", run["batch_id"], each.message)


@dataclass(frozen=True)
class OutcomeCoverage:
    """How many outcomes a current run has, and whether it was measured on other ones.

    `stream` counts those of the matured batches up to this one that the same model scored, of the
    batches whose scores are there. A run whose scores retention has dropped keeps its figures.
    """

    scoring_run_id: str
    batch_id: str
    propensity_version: str
    is_mature: bool
    stream: int
    is_stale: bool
    is_dropped: bool


def outcome_coverage(session: Session) -> list[OutcomeCoverage]:
    """Return the coverage of each current run, in the order of batches."""
    streams: dict[str, int] = {}
    dropped: dict[str, int] = {}
    found = []
    for row in database.rows(session.connection, "select_outcome_coverage"):
        version, count = row["propensity_version"], row["outcomes"]
        is_mature = is_enough(session.contract, count, row["scored"])
        of = dropped if row["is_dropped"] else streams
        of[version] = of.get(version, 0) + (count if is_mature else 0)
        stream = streams.get(version, 0)
        # One that was measured before retention took the stream's beginning is not measured again.
        whole = stream + dropped.get(version, 0)
        if is_mature:
            measured = row["measured_stream"]
            is_known = row["measured_loans"] == count and stream <= (measured or 0) <= whole
        else:
            is_known = row["measured_loans"] is None and row["measured_stream"] is None
        found.append(
            OutcomeCoverage(
                row["scoring_run_id"],
                row["batch_id"],
                version,
                is_mature,
                stream,
                not is_known and not row["is_dropped"],
                row["is_dropped"],
            )
        )
    return found


def is_enough(contract: Contract, outcomes: int, scored: int) -> bool:
    """Return whether so many outcomes of so many scored loans are enough to be told."""
    return outcomes > 0 and outcomes >= contract.performance.mature_share * scored


def _earlier_errors(session: Session, run: database.Row, known: Errors) -> np.ndarray:
    """Return the errors of the matured batches before this one that the same model scored."""
    threshold = session.contract.decision.decline_from
    parts = [np.zeros(0, dtype=bool)]
    for each in outcome_coverage(session):
        is_of_model = each.propensity_version == run["propensity_version"] and not each.is_dropped
        if each.is_mature and is_of_model and each.batch_id < run["batch_id"]:
            key = each.scoring_run_id, threshold
            if key not in known:
                known[key] = classification_errors(session, vars(each), threshold)
            parts.append(known[key])
    return np.concatenate(parts)


def _facts(
    model: database.Row, batch: ScoredBatch, found: Sequence[PerformanceFigure]
) -> dict[str, Any]:
    """Return what a message tells of a batch's outcomes, fit for JSON."""
    realised = {
        each.metric: each.estimate.value
        for each in found
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


def _judged(
    contract: Contract, model: database.Row, batch: ScoredBatch, facts: dict[str, Any]
) -> tuple[list[TestVerdict], list[OutcomeFinding]]:
    tests = outcome_tests(
        contract.performance,
        model["metrics"],
        batch.outcome[batch.known].astype(int),
        batch.probability[batch.known],
        float("nan") if facts["ddm"] is None else facts["ddm"],
    )
    return judge_outcomes(contract.performance, contract.monitoring.q, tests)


def _write_figures(session: Session, run: database.Row, found: Sequence[PerformanceFigure]) -> None:
    database.execute(session.connection, "delete_performance", scoring_run_id=run["scoring_run_id"])
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run["scoring_run_id"], len(found)),
            "segment": [each.segment for each in found],
            "metric": [each.metric for each in found],
            "basis": [each.basis for each in found],
            **_limits([each.estimate for each in found]),
            "baseline": _floats([each.baseline for each in found]),
            "loans": [each.loans for each in found],
        }
    )
    if found:
        database.copy_in(session.connection, "performance", rows.column_names, rows)


def _write_fairness(session: Session, run: database.Row, found: Sequence[FairnessFigure]) -> None:
    database.execute(session.connection, "delete_fairness", scoring_run_id=run["scoring_run_id"])
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run["scoring_run_id"], len(found)),
            "attribute": [each.attribute for each in found],
            "metric": [each.metric for each in found],
            **_limits([each.estimate for each in found]),
            "groups": [json.dumps(each.groups) for each in found],
        }
    )
    if found:
        database.copy_in(session.connection, "fairness", rows.column_names, rows)


def _limits(estimates: Sequence[Estimate]) -> dict[str, pa.Array]:
    return {
        name: _floats([getattr(each, name) for each in estimates])
        for name in ("value", "lower", "upper")
    }


def _floats(values: Sequence[float | None]) -> pa.Array:
    """Return values as Arrow has them; nan is null."""
    return pa.array(values, pa.float64(), from_pandas=True)


def _write_drift(session: Session, run: database.Row, verdicts: Sequence[TestVerdict]) -> None:
    run_id = run["scoring_run_id"]
    database.execute(
        session.connection, "delete_outcome_drift", scoring_run_id=run_id, kinds=[*KINDS.values()]
    )
    rows = pa.table(
        {
            "scoring_run_id": pa.repeat(run_id, len(verdicts)),
            "kind": [KINDS[each.feature] for each in verdicts],
            "feature": [each.feature for each in verdicts],
            "test": [each.test.name for each in verdicts],
            "statistic": [each.test.statistic for each in verdicts],
            "p_value": _floats([each.test.p_value for each in verdicts]),
            "p_adjusted": _floats([each.p_adjusted for each in verdicts]),
            "effect": [each.test.effect for each in verdicts],
            "threshold": [each.test.threshold for each in verdicts],
            "level": [each.level for each in verdicts],
        }
    )
    if verdicts:
        database.copy_in(session.connection, "drift", rows.column_names, rows)


def _cause(
    contract: Contract, findings: Sequence[OutcomeFinding], facts: dict[str, Any]
) -> list[BatchCause]:
    """Return what findings on outcomes have in common: one cause, or none."""
    if not findings:
        return []
    return [
        BatchCause(
            CONCEPT,
            "critical" if any(each.severity == "critical" for each in findings) else "warning",
            [each.subject for each in findings],
            describe_outcome_cause(contract, findings, facts),
            {each.subject: {**facts, "causes": each.causes} for each in findings},
        )
    ]
