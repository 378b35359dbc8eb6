"""Measure the performance of scoring runs again if outcomes changed since the last measurement."""

import logging

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring.monitoring.performance.coverage import outcome_coverage
from loan_scoring.monitoring.performance.measure import Errors, measure_run

log = logging.getLogger(__name__)


def restate_performance(session: Session) -> list[str]:
    """Measure each out-of-date current scoring run again, and return the ids of these runs.

    A run is out of date if outcomes of its loans, or of the earlier loans that DDM reads, have
    arrived, changed or been withdrawn since the last measurement. New outcomes are found by
    comparing numbers of outcomes, the others by table `outcome_changes_by_batch`. Each run is
    measured and written on its own. If the process is killed, the next call measures the remaining
    runs. If no outcome has changed, no performance is written.
    """
    with database.transaction(session.connection):
        stale = [each for each in outcome_coverage(session) if each.is_stale]
    restated, errors = [], Errors()
    for each in stale:
        run = database.row(session.connection, "select_current_run", batch_id=each.batch_id)
        if run is None or run["scoring_run_id"] != each.scoring_run_id:
            # The batch was scored again meanwhile. Stage `metrics` measures the new run.
            continue
        if measure_run(session, run, errors):
            restated.append(each.scoring_run_id)
    update_alerts(session)
    if restated:
        log.info("measured again: %s", ", ".join(restated))
    return restated
