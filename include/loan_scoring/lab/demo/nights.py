"""Run replayed nights through every stage, in the order of the calendar, as the DAGs do."""

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


def run_nights(session: Session, cut: Replay) -> Iterator[str]:
    """Take in, score and measure each night, and take in outcomes on the date that they land.

    Yields the batch_id of each night once it is measured, and drop_id once outcomes are told of.

    Args:
        session: a database with a champion and none of the nights.
    """
    landed = {path.name.split(".")[0]: path for path in cut.outcome_files}
    for day in sorted({*cut.batch_ids, *landed}):
        if day in landed:
            taken = take_outcomes(session, landed[day])
            restate_performance(session)
            ask_where_drift_lasts(session, CONCEPT)
            yield taken.drop_id
        if day in cut.batch_ids:
            ingest_batch(session, day, cut.application_files[day])
            score_batch(session, day)
            compare_batch(session, day)
            ask_where_drift_lasts(session, POPULATION, day)
            yield day
