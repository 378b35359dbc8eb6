"""Read the template values of the queue page, which lists applications for a person to decide."""

from typing import Any
from urllib.parse import urlencode

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.desk.queue import QueueFilter, QueuePage, count_queue, read_queue


def read_queue_page(
    session: Session, batch_id: str | None, wanted: QueueFilter, after: tuple[float, Any] | None
) -> dict[str, Any]:
    """Return the template values of one page of the queue.

    Args:
        session: database session that reads.
        batch_id: batch to show. None means the last scored batch.
        wanted: conditions that the shown applications meet.
        after: default probability and loan_id of the last row of the previous page. None means
            the first page.
    """
    found = read_queue(session, batch_id, wanted, after)
    contract = session.contract.under(found.run["policy"])
    with database.transaction(session.connection):
        batches = database.rows(session.connection, "select_scored_batches")
    return {
        "queue": found,
        "batches": batches,
        "counts": count_queue(session, found.run),
        "wanted": wanted,
        "first": None if after is None else _query(found, wanted, None),
        "next": None if found.next is None else _query(found, wanted, found.next),
        "reason_labels": {each.reason: each.label for each in contract.exclusions},
        "policy": contract.decision,
    }


def _query(found: QueuePage, wanted: QueueFilter, after: tuple[float, Any] | None) -> str:
    """Return the query string for the page of the queue that follows the row `after`.

    The query string keeps the batch and the filter. If `after` is None, the page is the first page.
    """
    parameters = {
        "batch": found.run["batch_id"],
        "decision": wanted.decision,
        "persona": wanted.persona,
        "reason": wanted.reason,
        "low": None if wanted.low is None else f"{100 * wanted.low:g}",
        "high": None if wanted.high is None else f"{100 * wanted.high:g}",
        "decided": {None: None, True: "yes", False: "no"}[wanted.is_decided],
        "after": None if after is None else f"{after[0]!r}/{after[1]}",
    }
    return urlencode({name: value for name, value in parameters.items() if value is not None})
