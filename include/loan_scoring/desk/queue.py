"""List, sort, filter and count the queue of applications that a person must decide."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.contract.desk import desk_columns
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import LEFT_TO_A_PERSON
from loan_scoring.desk.loan_ids import typed_loan_id
from loan_scoring.errors import MissingError

PAGE_ROWS = 50
TO_DECIDE, MINE, DOCUMENTS, SECOND, DECIDED, ALL = STATES = (
    "open", "mine", "documents", "second", "decided", "all",
)  # fmt: skip
"""What the queue may show: applications to decide, those that the user claimed, ..."""
SORTS = ("probability", "loss", "loan")
"""What the queue is sorted by, besides the contract's columns."""

_WITHOUT = {TO_DECIDE: [DECIDED, DOCUMENTS], MINE: [DECIDED]}
_WITHIN = {each: [each] for each in (DOCUMENTS, SECOND, DECIDED)}


@dataclass(frozen=True)
class QueueFilter:
    """Conditions on the applications of the queue, and their order.

    A condition that is None admits all applications.
    """

    decision: str | None = None
    persona: str | None = None
    reason: str | None = None
    """Reason of the score or reason of an exclusion. A score may have several reasons."""
    low: float | None = None
    """Minimum of the default probability. A probability equal to `low` meets the condition."""
    high: float | None = None
    """Limit of the default probability. Only probabilities below `high` meet the condition."""
    state: str = ALL
    """One of STATES."""
    user: str | None = None
    """For the state `mine`: who claimed the application, as `airflow:NAME`."""
    loan: str | None = None
    """One loan_id."""
    sort: str = "probability"
    """One of SORTS, or a column that the contract shows at the desk."""
    is_ascending: bool = False


@dataclass(frozen=True)
class QueuePage:
    """One page of the queue of a scoring run.

    `total` is the number of applications that match the filter. `next` is the argument `after` that
    gives the next page, or None if this page is the last.
    """

    run: database.Row
    rows: list[database.Row]
    total: int
    next: tuple[float, Any] | None


@dataclass(frozen=True)
class QueuePlace:
    """The place of an application in a queue: the `number`-th of `total`."""

    number: int
    total: int


def read_queue(
    session: Session,
    batch_id: str | None = None,
    wanted: QueueFilter | None = None,
    after: tuple[float, Any] | None = None,
    limit: int = PAGE_ROWS,
) -> QueuePage:
    """Return one page of the queue of a batch. Missing numbers come last in any order.

    Args:
        session: database session of the portfolio.
        batch_id: batch to read. None means the scored batch with the latest business date.
        wanted: filter and order. None means all applications, the likeliest default first.
        after: `next` of the previous page. None means the first page.
        limit: maximum number of rows on a page.

    Raises:
        MissingError: the batch is not scored, or the order names no column of the desk.
        GoneError: retention has dropped the scores of the batch.
    """
    wanted = wanted or QueueFilter()
    with database.transaction(session.connection):
        run = current_run(session, batch_id)
        rows = _read_rows(session, run, wanted, after, limit + 1)
        total = _count(session, run, wanted)
    last = rows[limit - 1] if len(rows) > limit else None
    follows = None if last is None else (last["value"], last["loan_id"])
    return QueuePage(run, rows[:limit], total, follows)


def place_in_queue(
    session: Session, run: database.Row, wanted: QueueFilter, loan_id: Any
) -> QueuePlace | None:
    """Return where an application stands in a queue. Return None if it is not in it.

    If the queue shows what is to decide, those that are decided already count too, so that the
    number goes up from one application to the next.
    """
    if wanted.state == TO_DECIDE:
        wanted = replace(wanted, state=ALL)
    found = database.row(
        session.connection,
        "select_desk_place",
        loan_id=loan_id,
        **_conditions(session.contract, run, wanted),
        **_order(session.contract, wanted),
    )
    return None if found is None else QueuePlace(found["before"] + 1, found["applications"])


def next_to_decide(
    session: Session, run: database.Row, wanted: QueueFilter, loan_id: Any, user: str
) -> Any:
    """Return the loan_id of the next application that the user can decide, or None.

    Applications before the given loan follow after the last one. Those that wait for documents,
    that another person claimed, or that wait for a second person after the user are left out.
    """
    if wanted.state not in (MINE, SECOND, DOCUMENTS):
        wanted = replace(wanted, state=TO_DECIDE)
    alone = QueueFilter(loan=str(loan_id))
    here = _read_rows(session, run, alone, None, 1, wanted)
    after = (here[0]["value"], loan_id) if here else None
    for start in (after, None) if after else (None,):
        place = start
        while rows := _read_rows(session, run, wanted, place, PAGE_ROWS):
            for row in rows:
                if row["loan_id"] != loan_id and can_decide(row, user):
                    return row["loan_id"]
            place = (rows[-1]["value"], rows[-1]["loan_id"])
    return None


def can_decide(row: database.Row, user: str) -> bool:
    """Return whether a user can decide an application of the queue now."""
    is_own_first = row["state"] == SECOND and row["decided_by"] == user
    return row["assigned_to"] in (None, user) and not is_own_first


def count_queue(session: Session, run: database.Row) -> dict[str, Any]:
    """Count the applications of a queue by decision, persona, reason and state.

    The reason is the first reason of the score, or the exclusion if there is no score.

    Args:
        session: database session of the portfolio.
        run: row of the scoring run whose queue is counted.

    Returns:
        A dictionary with the keys `decision`, `persona` and `reason`, each a list of rows with
        `value` and `applications`, and `state`, the number of applications by state. Rows of
        `decision` also have `decided`, which is the number of applications that a person has
        decided.
    """
    with database.transaction(session.connection):
        found = _counts(session, run)
    worked = found["worked"]
    counts = {name: found["counts"].get(name, []) for name in ("decision", "persona", "reason")}
    for row in counts["decision"]:
        row["decided"] = sum(
            each["applications"]
            for each in worked
            if each["suggestion"] == row["value"] and each["state"] == DECIDED
        )
    state = dict.fromkeys((DOCUMENTS, SECOND, DECIDED), 0)
    for each in worked:
        state[each["state"]] += each["applications"]
    return counts | {"state": state | {ALL: found["applications"]}}


def due_at(session: Session, batch_id: str) -> tuple[datetime | None, datetime | None]:
    """Return since when the applications of a batch wait, and when they are due.

    They wait since the first file of the batch landed. Without `desk.answer_within_hours` they are
    never due.
    """
    with database.transaction(session.connection):
        found = database.row(session.connection, "select_landed_at", batch_id=batch_id)
    landed: datetime | None = found["landed_at"] if found else None
    hours = session.contract.desk.answer_within_hours
    return landed, landed + timedelta(hours=hours) if landed and hours else None


def sortable(contract: Contract) -> list[str]:
    """Return what the queue of a portfolio can be sorted by."""
    has_loss = contract.business is not None
    keys = [each for each in SORTS if each != "loss" or has_loss]
    return [*keys, *(column.name for column in desk_columns(contract))]


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


def _counts(session: Session, run: database.Row) -> database.Row:
    found = database.row(
        session.connection, "select_desk_counts", scoring_run_id=run["scoring_run_id"]
    )
    return found or {"counts": {}, "applications": 0, "worked": []}


def _count(session: Session, run: database.Row, wanted: QueueFilter) -> int:
    if wanted == QueueFilter(
        state=wanted.state, sort=wanted.sort, is_ascending=wanted.is_ascending
    ) and wanted.state in (TO_DECIDE, ALL):
        # A count of a million applications takes longer than their page.
        found = _counts(session, run)
        hidden = _WITHOUT.get(wanted.state, [])
        worked = sum(each["applications"] for each in found["worked"] if each["state"] in hidden)
        return int(found["applications"] - worked)
    counted = database.row(
        session.connection, "count_desk_queue", **_conditions(session.contract, run, wanted)
    )
    assert counted is not None  # noqa: S101 - count always gives one row
    return int(counted["applications"])


def _read_rows(
    session: Session,
    run: database.Row,
    wanted: QueueFilter,
    after: tuple[float, Any] | None,
    limit: int,
    ordered_as: QueueFilter | None = None,
) -> list[database.Row]:
    return database.rows(
        session.connection,
        "select_desk_queue",
        after_value=after[0] if after else None,
        after_loan_id=typed_loan_id(session.contract, after[1]) if after else None,
        limit=limit,
        **_conditions(session.contract, run, wanted),
        **_order(session.contract, ordered_as or wanted),
    )


def _conditions(contract: Contract, run: database.Row, wanted: QueueFilter) -> dict[str, Any]:
    return {
        "batch_id": run["batch_id"],
        "scoring_run_id": run["scoring_run_id"],
        "decisions": [wanted.decision] if wanted.decision else list(LEFT_TO_A_PERSON),
        "persona": wanted.persona,
        "reason": wanted.reason,
        "low": wanted.low,
        "high": wanted.high,
        "loan": None if wanted.loan is None else str(typed_loan_id(contract, wanted.loan)),
        "without": _WITHOUT.get(wanted.state),
        "within": _WITHIN.get(wanted.state),
        "holder": wanted.user if wanted.state == MINE else None,
    }


def _order(contract: Contract, wanted: QueueFilter) -> dict[str, Any]:
    if wanted.sort not in sortable(contract):
        raise MissingError(
            f"the queue is not sorted by {wanted.sort}; use one of {', '.join(sortable(contract))}"
        )
    names = [column.name for column in desk_columns(contract)]
    referred = {each.reason for each in contract.exclusions}
    is_referred = wanted.decision == "refer" or wanted.reason in referred
    return {
        # Referred applications have no probability. The planner does not know that they all stand
        # at the end of the index of probabilities.
        "sort": "loan" if is_referred and wanted.sort in ("probability", "loss") else wanted.sort,
        "number": names.index(wanted.sort) + 1 if wanted.sort in names else 0,
        "sign": 1 if wanted.is_ascending else -1,
    }
