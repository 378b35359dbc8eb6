"""Read the template values of the queue page, which lists applications for a person to decide."""

from datetime import UTC, datetime
from typing import Any

from loan_scoring import database
from loan_scoring.contract.desk import desk_columns
from loan_scoring.database.session import Session
from loan_scoring.desk.queue import (
    count_queue,
    due_at,
    read_queue,
    sortable,
)
from loan_scoring.desk.terms import WORDS
from loan_scoring.errors import MissingError
from loan_scoring_web.forms import QueueQuery

STATES = {
    "open": "to decide", "mine": "claimed by me", "documents": "documents wanted",
    "second": "waits for a second person", "decided": "decided", "all": "all",
}  # fmt: skip


def read_queue_page(session: Session, query: QueueQuery, user: str) -> dict[str, Any]:
    """Return the template values of one page of the queue.

    Args:
        session: database session that reads.
        query: batch, filter, order and page.
        user: who asks, as `airflow:NAME`.
    """
    wanted, missing = query.queue_filter(user), None
    try:
        found = read_queue(session, query.batch, wanted, query.place())
    except MissingError as error:
        if query.loan is None or (query.batch is not None and "batch" in str(error)):
            raise
        # The searched text is no loan_id of this portfolio.
        missing, query = str(error), query.model_copy(update={"loan": None})
        found = read_queue(session, query.batch, query.queue_filter(user), None, 1)
        found.rows.clear()
    contract = session.contract.under(found.run["policy"])
    with database.transaction(session.connection):
        batches = database.rows(session.connection, "select_scored_batches")
    batch_id = found.run["batch_id"]
    business = contract.business
    waiting_since, due = due_at(session, batch_id)
    labels = {each.reason: each.label for each in contract.exclusions}
    here = query.model_copy(update={"batch": batch_id})
    place = found.next and f"{found.next[0]!r}/{found.next[1]}"
    return {
        "queue": found,
        "query": here,
        "missing": missing,
        "batches": batches,
        "counts": count_queue(session, found.run),
        "states": STATES,
        "first": None if query.after is None else here.kept(),
        "next": None if place is None else here.kept(after=place),
        "columns": desk_columns(contract),
        "sorts": sort_links(session, here),
        "loss_given_default": business and business.loss_given_default,
        "loss_unit": business and contract.by_name[business.amount].unit,
        "reason_labels": labels,
        "policy": contract.decision,
        "has_grades": contract.grades is not None,
        "waiting_hours": hours_between(waiting_since, now()),
        "hours_left": hours_between(now(), due),
        "due": due,
        "bulk_loans": 0
        if query.reason not in labels
        else _open_referrals(session, found.run, query.reason),
        "reasons": contract.desk.reasons,
        "words": WORDS,
        "decided_at_once": query.bulk,
        "toast": read_toast(session, query.done, user),
    }


def _open_referrals(session: Session, run: database.Row, reason: str | None) -> int:
    with database.transaction(session.connection):
        found = database.row(
            session.connection, "count_open_referrals",
            batch_id=run["batch_id"], scoring_run_id=run["scoring_run_id"], reason=reason,
        )  # fmt: skip
    return found["applications"] if found else 0


def sort_links(session: Session, query: QueueQuery) -> dict[str, tuple[str, str]]:
    """Return the query string that sorts by each key, and the direction for `aria-sort`.

    The first click on a number sorts the largest first, the next one turns the order around.
    """
    found = {}
    for key in sortable(session.contract):
        is_sorted = key == query.sort
        order = "asc" if is_sorted and query.order == "desc" else "desc"
        now_sorted = {"asc": "ascending", "desc": "descending"}[query.order] if is_sorted else ""
        found[key] = (query.kept(sort=key, order=order), now_sorted)
    return found


def read_toast(session: Session, approval_id: int | None, user: str) -> database.Row | None:
    """Return what the user just recorded, and whether and until when it can be undone."""
    if approval_id is None:
        return None
    with database.transaction(session.connection):
        found = database.row(
            session.connection, "select_step", approval_id=approval_id, decided_by=user
        )
    return found and found | {"words": WORDS.get(found["decision"], found["decision"])}


def now() -> datetime:
    """Return the time by the clock."""
    return datetime.now(UTC)


def hours_between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the hours from one time to another. Return None if one is not known."""
    return None if start is None or end is None else (end - start).total_seconds() / 3600
