"""List scoring runs, their scores, and calls, in pages by key."""

from datetime import datetime
from typing import Any

from loan_scoring import database
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import typed_loan_id
from loan_scoring.errors import MissingError


def list_scoring_runs(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    batch_id: str | None = None,
    model_version: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[database.Row]:
    """Return a page of published scoring runs, in the order of their batches.

    Args:
        session: of the portfolio.
        since: published at or after this time.
        until: published before this time.
        batch_id: of the runs; None for all.
        model_version: of either kind; None for all.
        after: the last scoring_run_id of the previous page.
        limit: the most rows of a page.
    """
    with database.transaction(session.connection):
        return database.rows(
            session.connection,
            "select_executions",
            since=since,
            until=until,
            batch_id=batch_id,
            model_version=model_version,
            after=after,
            limit=limit,
        )


def list_scores(
    session: Session, scoring_run_id: str, after: Any = None, limit: int = 1000
) -> list[database.Row]:
    """Return a page of scores of a published run, in the order of loan_id, after the loan `after`.

    Raises:
        MissingError: there is no such run, or it is not published.
        GoneError: retention has dropped the scores.
    """
    with database.transaction(session.connection):
        run = database.row(session.connection, "select_scoring_run", scoring_run_id=scoring_run_id)
        if run is None or run["state"] != "published":
            raise MissingError(f"there is no published scoring run {scoring_run_id}")
        refuse_dropped(session.connection, run["batch_id"])
        return database.rows(
            session.connection,
            "select_execution_scores",
            batch_id=run["batch_id"],
            scoring_run_id=scoring_run_id,
            after=None if after is None else typed_loan_id(session.contract, after),
            limit=limit,
        )


def list_calls(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model_version: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[database.Row]:
    """Return a page of recorded calls (scores on demand), in the order of time.

    `after` is called_at and call_id of the last call of the previous page.
    """
    with database.transaction(session.connection):
        return database.rows(
            session.connection,
            "select_calls",
            since=since,
            until=until,
            model_version=model_version,
            after_at=after[0] if after else None,
            after_id=after[1] if after else None,
            limit=limit,
        )
