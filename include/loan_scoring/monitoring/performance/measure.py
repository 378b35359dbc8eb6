"""Measure the performance of a scored batch: estimated at once, realised when outcomes arrive."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.baseline import predictions_of_other_policy
from loan_scoring.monitoring.alerts.causes import CONCEPT
from loan_scoring.monitoring.alerts.store import record_causes
from loan_scoring.monitoring.drift.decide import TestVerdict
from loan_scoring.monitoring.drift_rows import write_drift
from loan_scoring.monitoring.performance.batch import ScoredBatch, read_scored_batch
from loan_scoring.monitoring.performance.coverage import (
    ReadUntil,
    has_enough_outcomes,
    read_until,
    write_coverage,
)
from loan_scoring.monitoring.performance.figures import (
    FairnessFigure,
    PerformanceFigure,
    fairness_figures,
    figures_after_outcomes,
    figures_before_outcomes,
    holdout_curve,
    without_decisions,
)
from loan_scoring.monitoring.performance.outcome_tests import (
    KINDS,
    NightOutcome,
    judge_outcomes,
    night_outcomes,
    tests_of_night,
)
from loan_scoring.monitoring.performance.over_nights import write_night
from loan_scoring.monitoring.performance.reviewed import (
    approval_in_effect,
    fairness_in_effect,
    read_reviewed_batch,
)
from loan_scoring.monitoring.performance.segments import SegmentFigure, segment_figures
from loan_scoring.monitoring.performance.write import (
    write_fairness,
    write_figures,
    write_segments,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredPerformance:
    """What was measured of a scoring run, to be written.

    `until` are the last changes of outcomes and decisions that the measurement has seen.
    """

    until: ReadUntil
    batch: ScoredBatch
    figures: list[PerformanceFigure]
    fairness: list[FairnessFigure]
    segments: list[SegmentFigure]
    night: list[NightOutcome]
    verdicts: list[TestVerdict]


def measure_run(
    session: Session, run: database.Row, write_more: Callable[[], None] | None = None
) -> bool:
    """Measure a scoring run, and write performance, fairness, segments and tests of outcomes.

    Reading and computing take seconds and happen outside of the lock on the batch. One transaction
    then takes the lock, checks that the run is still current and that no outcome and no decision
    has changed since the reading, and writes. After a change, the run is measured again. The cause
    `concept` of the run is deleted, and `add_up_outcomes` finds it anew. A second call with the
    same scores and outcomes writes the same rows.

    Args:
        session: database session without an open transaction.
        run: row of the scoring run.
        write_more: writes further rows of the run in the same transaction.

    Returns:
        Whether the rows were written. If the batch was scored again meanwhile, nothing is written.
    """
    batch_id = run["batch_id"]
    while True:
        with database.snapshot(session.connection):
            measured = measure_performance(session, run)
        with database.transaction(session.connection):
            database.lock(session.connection, f"batch:{batch_id}")
            current = database.row(session.connection, "select_current_run", batch_id=batch_id)
            if current is None or current["scoring_run_id"] != run["scoring_run_id"]:
                return False
            if read_until(session, batch_id) == measured.until:
                _write(session, run, measured)
                if write_more is not None:
                    write_more()
                return True
        log.info("%s: outcomes or decisions arrived, measuring again", run["scoring_run_id"])


def measure_performance(session: Session, run: database.Row) -> MeasuredPerformance:
    """Read and compute performance and fairness of a scoring run, and write nothing.

    There are realised figures and tests of outcomes only if enough loans have an outcome: at least
    the contract's `mature_share` of the funded loans whose outcome is final.

    Args:
        session: database session. Its queries should see one snapshot.
        run: row of the scoring run.
    """
    session = session.under(run)
    contract = session.contract
    model = registry.model_row(session, run["propensity_version"])
    until = read_until(session, run["batch_id"])
    batch = read_scored_batch(session, run)
    reviewed = read_reviewed_batch(session, run)
    is_mature = has_enough_outcomes(contract, int(batch.known.sum()), int(batch.is_due.sum()))
    if "decision" in predictions_of_other_policy(run, model):
        model = without_decisions(model)
    figures = figures_before_outcomes(contract, model, batch) + approval_in_effect(reviewed)
    true = holdout_curve(model).corrected(batch.probability)
    night: list[NightOutcome] = []
    if is_mature:
        figures += figures_after_outcomes(contract, model, batch)
        y, p = batch.outcome[batch.known].astype(int), batch.probability[batch.known]
        night = night_outcomes(contract.performance, holdout_curve(model), y, p)
    return MeasuredPerformance(
        until,
        batch,
        figures,
        fairness_figures(contract, batch, is_mature) + fairness_in_effect(contract, reviewed),
        segment_figures(contract, batch, true, is_mature),
        night,
        judge_outcomes(contract.performance, contract.monitoring.q, tests_of_night(night)),
    )


def _write(session: Session, run: database.Row, measured: MeasuredPerformance) -> None:
    run_id = run["scoring_run_id"]
    write_figures(session, run, measured.figures, measured.until.outcomes_change_id)
    write_fairness(session, run, measured.fairness)
    write_segments(session, run, measured.segments)
    write_coverage(session, run, measured.batch, measured.until)
    # This locks the sums, so it stands before what `add_up_outcomes` writes under the same lock.
    write_night(session, run_id, measured.night)
    write_drift(session, run_id, [*KINDS.values()], KINDS, measured.verdicts)
    record_causes(session, run_id, (CONCEPT,), [])
