"""Measure the performance of a scored batch: estimated at once, realised when outcomes arrive."""

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.baseline import predictions_of_other_policy
from loan_scoring.monitoring.alerts.causes import CONCEPT
from loan_scoring.monitoring.alerts.store import record_causes
from loan_scoring.monitoring.drift_rows import write_drift
from loan_scoring.monitoring.performance.batch import read_scored_batch
from loan_scoring.monitoring.performance.coverage import (
    has_enough_outcomes,
    read_until,
    write_coverage,
)
from loan_scoring.monitoring.performance.figures import (
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
from loan_scoring.monitoring.performance.write import write_fairness, write_figures


def measure_performance(session: Session, run: database.Row) -> None:
    """Write performance and fairness of a scoring run, in the caller's transaction.

    Realised figures and tests of outcomes are written only if enough loans have an outcome: at
    least the contract's `mature_share` of the funded loans whose outcome is final. The cause
    `concept` of the run is deleted, and `add_up_outcomes` finds it anew. A second call with the
    same scores and outcomes writes the same rows.

    Args:
        run: row of the scoring run. The caller has locked the run's batch.
    """
    session = session.under(run)
    contract = session.contract
    model = registry.model_row(session, run["propensity_version"])
    until = read_until(session, run["batch_id"])
    batch = read_scored_batch(session, run)
    is_mature = has_enough_outcomes(contract, int(batch.known.sum()), int(batch.is_due.sum()))
    if "decision" in predictions_of_other_policy(run, model):
        model = without_decisions(model)
    figures = figures_before_outcomes(contract, model, batch)
    night: list[NightOutcome] = []
    if is_mature:
        figures += figures_after_outcomes(contract, model, batch)
        y, p = batch.outcome[batch.known].astype(int), batch.probability[batch.known]
        night = night_outcomes(contract.performance, holdout_curve(model), y, p)
    tests = tests_of_night(night)
    verdicts = judge_outcomes(contract.performance, contract.monitoring.q, tests)
    write_figures(session, run, figures, until.outcomes_change_id)
    write_fairness(session, run, fairness_figures(contract, batch, is_mature))
    write_coverage(session, run, batch, until)
    # This locks the sums, so it stands before what `add_up_outcomes` writes under the same lock.
    write_night(session, run["scoring_run_id"], night)
    write_drift(session, run["scoring_run_id"], [*KINDS.values()], KINDS, verdicts)
    record_causes(session, run["scoring_run_id"], (CONCEPT,), [])
