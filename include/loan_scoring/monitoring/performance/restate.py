"""Measure performance again where outcomes came since it was measured."""

import logging

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring.monitoring.performance.coverage import outcome_coverage
from loan_scoring.monitoring.performance.measure import Errors, measure_performance

log = logging.getLogger(__name__)


def restate_performance(session: Session) -> list[str]:
    """Measure each current run whose figures are out of date again; return the run ids.

    A known outcome never changes, so counts show what is new: a run is measured again where the
    outcomes of its loans, or those of the DDM stream up to it, are not as many as its figures
    were measured on. Each run is one transaction that locks its batch. After a kill the next call
    measures the rest; without new outcomes nothing is written.
    """
    with database.transaction(session.connection):
        stale = [each for each in outcome_coverage(session) if each.is_stale]
    restated, errors = [], Errors()
    for each in stale:
        with database.transaction(session.connection):
            database.lock(session.connection, f"batch:{each.batch_id}")
            run = database.row(session.connection, "select_current_run", batch_id=each.batch_id)
            if run is None or run["scoring_run_id"] != each.scoring_run_id:
                continue  # the batch was scored again meanwhile: stage metrics measures the new run
            measure_performance(session, run, errors)
        restated.append(each.scoring_run_id)
    update_alerts(session)
    if restated:
        log.info("measured again: %s", ", ".join(restated))
    return restated
