"""Run replayed nights through every stage, in the order of the calendar, as the DAGs do."""

from collections.abc import Iterator

from loan_scoring import ingest, metrics, outcomes, retraining, scoring
from loan_scoring.alerts.causes import CONCEPT, POPULATION
from loan_scoring.performance import stage
from loan_scoring.replay import Replay
from loan_scoring.session import Session


def run_nights(session: Session, cut: Replay) -> Iterator[str]:
    """Take in, score and measure each night, and take in outcomes on the date that they land.

    Yields the batch_id of each night once it is measured, and drop_id once outcomes are told of.

    Args:
        session: a database with a champion and none of the nights.
    """
    landed = {path.name.split(".")[0]: path for path in cut.outcome_files}
    for day in sorted({*cut.batch_ids, *landed}):
        if day in landed:
            taken = outcomes.take_outcomes(session, landed[day])
            stage.restate_performance(session)
            retraining.ask_where_drift_lasts(session, CONCEPT)
            yield taken.drop_id
        if day in cut.batch_ids:
            ingest.ingest_batch(session, day, cut.application_files[day])
            scoring.score_batch(session, day)
            metrics.compare_batch(session, day)
            retraining.ask_where_drift_lasts(session, POPULATION, day)
            yield day
