"""Run replayed nights through every stage in calendar order, as the DAGs do."""

from collections.abc import Iterator

from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.alerts.causes import CONCEPT, POPULATION
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.performance.restate import restate_performance
from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts
from loan_scoring.scoring.batch import score_batch


def run_nights(session: Session, replay: Replay) -> Iterator[str]:
    """Run all stages for each date in order. Yield the drop_ids and batch_ids that are done.

    If outcomes land on a date, they are ingested first and performance is restated. Then the night
    of that date is ingested, scored and compared with the baseline. New models are requested if
    drift lasts.

    Args:
        session: database session. The database has a champion and none of the nights.
        replay: replay whose files are ingested.
    """
    landed = {path.name.split(".")[0]: path for path in replay.outcome_files}
    for day in sorted({*replay.batch_ids, *landed}):
        if day in landed:
            taken = take_outcomes(session, landed[day])
            restate_performance(session)
            ask_where_drift_lasts(session, CONCEPT)
            yield taken.drop_id
        if day in replay.batch_ids:
            ingest_batch(session, day, replay.application_files[day])
            score_batch(session, day)
            compare_batch(session, day)
            ask_where_drift_lasts(session, POPULATION, day)
            yield day
