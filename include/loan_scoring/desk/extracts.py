"""List scoring runs, scores and calls, page by page.

To get the next page, a caller passes the key of the last row of the previous page as `after`.
"""

from datetime import datetime
from typing import Any

from loan_scoring import database
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.desk.loan_ids import typed_loan_id
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
    """Return one page of published scoring runs, sorted by scoring_run_id.

    A scoring_run_id starts with the batch_id, so the runs are also sorted by batch_id.

    Args:
        session: database session of the portfolio.
        since: return only runs published at or after this time. None means no limit.
        until: return only runs published before this time. None means no limit.
        batch_id: return only runs of this batch. None means all batches.
        model_version: return only runs that used this propensity or personas version. None means
            all versions.
        after: last scoring_run_id of the previous page. None means the first page.
        limit: maximum number of rows on a page.
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
    """Return one page of the scores of a published scoring run, sorted by loan_id.

    Args:
        session: database session of the portfolio.
        scoring_run_id: scoring run to read.
        after: last loan_id of the previous page. None means the first page.
        limit: maximum number of rows on a page.

    Raises:
        MissingError: the scoring run does not exist or is not published.
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
    """Return one page of the recorded calls, in order of time.

    A call is a request for scoring. Table `calls` records the calls.

    Args:
        session: database session of the portfolio.
        since: return only calls at or after this time. None means no limit.
        until: return only calls before this time. None means no limit.
        model_version: return only calls that used this propensity or personas version. None means
            all versions.
        after: called_at and call_id of the last call of the previous page. None means the first
            page.
        limit: maximum number of rows on a page.
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
