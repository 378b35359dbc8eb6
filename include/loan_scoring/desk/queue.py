"""List, filter and count the queue of applications that a person must decide."""

from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import LEFT_TO_A_PERSON, typed_loan_id
from loan_scoring.errors import MissingError

PAGE_ROWS = 50


@dataclass(frozen=True)
class QueueFilter:
    """Conditions on the applications of the queue. A field that is None sets no condition."""

    decision: str | None = None
    persona: str | None = None
    reason: str | None = None
    """Reason of the score or reason of an exclusion. A score may have several reasons."""
    low: float | None = None
    """Minimum of the default probability. A probability equal to `low` meets the condition."""
    high: float | None = None
    """Limit of the default probability. Only probabilities below `high` meet the condition."""
    is_decided: bool | None = None


@dataclass(frozen=True)
class QueuePage:
    """One page of the queue of a scoring run."""

    run: database.Row
    rows: list[database.Row]
    next: tuple[float, Any] | None
    """Argument `after` that gives the next page, or None if this page is the last."""


def read_queue(
    session: Session,
    batch_id: str | None = None,
    wanted: QueueFilter | None = None,
    after: tuple[float, Any] | None = None,
    limit: int = PAGE_ROWS,
) -> QueuePage:
    """Return one page of the queue of a batch.

    Applications are in descending order of default probability. Applications without a default
    probability come last.

    Args:
        session: database session of the portfolio.
        batch_id: batch to read. None means the scored batch with the latest business date.
        wanted: filter. None means all applications of the queue.
        after: default probability and loan_id of the last row of the previous page. The
            probability is -1 if that row has no default probability. None means the first page.
        limit: maximum number of rows on a page.

    Raises:
        MissingError: the batch is not scored.
        GoneError: retention has dropped the scores of the batch.
    """
    wanted = wanted or QueueFilter()
    with database.transaction(session.connection):
        run = current_run(session, batch_id)
        rows = database.rows(
            session.connection,
            "select_desk_queue",
            batch_id=run["batch_id"],
            scoring_run_id=run["scoring_run_id"],
            decisions=[wanted.decision] if wanted.decision else list(LEFT_TO_A_PERSON),
            persona=wanted.persona,
            reason=wanted.reason,
            low=wanted.low,
            high=wanted.high,
            is_decided=wanted.is_decided,
            after_probability=after[0] if after else None,
            after_loan_id=typed_loan_id(session.contract, after[1]) if after else None,
            limit=limit + 1,
        )
    last = rows[limit - 1] if len(rows) > limit else None
    return QueuePage(run, rows[:limit], None if last is None else _page_key(last))


def count_queue(session: Session, run: database.Row) -> dict[str, list[database.Row]]:
    """Count the applications of a queue by decision, by persona and by reason.

    The reason is the first reason of the score, or the exclusion if there is no score.

    Args:
        session: database session of the portfolio.
        run: row of the scoring run whose queue is counted.

    Returns:
        A dictionary with the keys `decision`, `persona` and `reason`. Each value is a list of rows
        with `value` and `applications`. Rows of `decision` also have `decided`, which is the
        number of applications that a person has decided.
    """
    with database.transaction(session.connection):
        found = _counted(session, run)
        decided = database.rows(
            session.connection,
            "select_decided_counts",
            batch_id=run["batch_id"],
            scoring_run_id=run["scoring_run_id"],
        )
    by_suggestion = {row["suggestion"]: row["applications"] for row in decided}
    decisions = [row | {"decided": by_suggestion.get(row["value"], 0)} for row in found["decision"]]
    return found | {"decision": decisions}


_counts: dict[tuple[Any, ...], dict[str, list[database.Row]]] = {}
MOST_COUNTED = 200


def _counted(session: Session, run: database.Row) -> dict[str, list[database.Row]]:
    """Return the counts of a scoring run's queue, from a cache if possible.

    The cache is safe because the scores of a published run do not change.
    """
    key = (database.location(session.connection), session.contract.portfolio, run["scoring_run_id"])
    if key not in _counts:
        found = database.rows(
            session.connection,
            "select_desk_counts",
            batch_id=run["batch_id"],
            scoring_run_id=run["scoring_run_id"],
        )
        # `left_out` is the result of SQL's grouping(). Each bit belongs to a column, and only the
        # bit of the column that the row is grouped by is 0.
        column_of = {0b011: "decision", 0b101: "persona", 0b110: "reason"}
        counts: dict[str, list[database.Row]] = {name: [] for name in column_of.values()}
        for row in found:
            name = column_of[row["left_out"]]
            if row[name] is not None:
                counts[name].append({"value": row[name], "applications": row["applications"]})
        while len(_counts) >= MOST_COUNTED:
            _counts.pop(next(iter(_counts)), None)
        _counts[key] = counts
    return _counts[key]


def current_run(session: Session, batch_id: str | None = None) -> database.Row:
    """Return the current scoring run of a batch.

    If `batch_id` is None, return the run of the scored batch with the latest business date.

    Raises:
        MissingError: the batch is not scored, or no batch is scored yet.
        GoneError: retention has dropped the scores of the batch.
    """
    found = database.row(session.connection, "select_desk_run", batch_id=batch_id)
    if found is None:
        fact = f"batch {batch_id} is not scored" if batch_id else "no batch is scored yet"
        raise MissingError(f"{fact} in {session.contract.portfolio}; run score for it first")
    refuse_dropped(session.connection, found["batch_id"])
    return found


def _page_key(row: database.Row) -> tuple[float, Any]:
    probability = row["default_probability"]
    return (-1.0 if probability is None else probability), row["loan_id"]
