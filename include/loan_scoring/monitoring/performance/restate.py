"""Measure the performance of scoring runs again if outcomes changed since the last measurement."""

import logging

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring.monitoring.performance.coverage import outcome_coverage
from loan_scoring.monitoring.performance.measure import measure_performance
from loan_scoring.monitoring.performance.over_nights import add_up_outcomes

log = logging.getLogger(__name__)


def restate_performance(session: Session) -> list[str]:
    """Measure each out-of-date current scoring run again, and return the ids of these runs.

    A run is out of date if outcomes of its loans have arrived, changed or been withdrawn since the
    last measurement, or a person's decision changed which loans are funded. Each run is measured in
    a transaction of its own, which locks the batch. Then the outcomes of all nights are added up
    again, because a night that changed also changes the sums of the later nights of its model. If
    the process is killed, the next call does the rest. If nothing has changed, nothing is written.
    """
    with database.transaction(session.connection):
        stale = [each for each in outcome_coverage(session) if each.is_stale]
    restated = []
    for each in stale:
        with database.transaction(session.connection):
            database.lock(session.connection, f"batch:{each.batch_id}")
            run = database.row(session.connection, "select_current_run", batch_id=each.batch_id)
            if run is None or run["scoring_run_id"] != each.scoring_run_id:
                # The batch was scored again meanwhile. Stage `metrics` measures the new run.
                continue
            measure_performance(session, run)
        restated.append(each.scoring_run_id)
    add_up_outcomes(session)
    update_alerts(session)
    if restated:
        log.info("measured again: %s", ", ".join(restated))
    return restated
