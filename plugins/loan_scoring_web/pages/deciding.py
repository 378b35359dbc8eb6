"""Read the template values with which a person decides one application and goes to the next."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.desk.application import DeskApplication
from loan_scoring.desk.queue import QueuePlace, current_run, due_at, next_to_decide, place_in_queue
from loan_scoring.desk.terms import WORDS
from loan_scoring_web.forms import QueueQuery
from loan_scoring_web.pages.queue import hours_between, now, read_toast


def read_deciding(
    session: Session, shown: DeskApplication, query: QueueQuery, user: str
) -> dict[str, Any]:
    """Return the template values of the section in which a person decides an application.

    Args:
        session: database session that reads.
        shown: the application.
        query: queue that the person works on.
        user: who decides, as `airflow:NAME`.
    """
    contract = session.contract
    last = shown.approvals[0] if shown.approvals else None
    is_here = last is not None and last["scoring_run_id"] == shown.score["scoring_run_id"]
    first = last if is_here and last is not None and last["awaits_second"] else None
    business = contract.business
    amount = shown.score["application"].get(business.amount) if business else None
    return read_walk(session, query, shown.score, user) | {
        "words": WORDS,
        "is_for_a_person": shown.score["decision"] in ("review", "refer"),
        "standard_reasons": contract.desk.reasons,
        "reason_texts": {each.reason: each.label for each in contract.desk.reasons},
        "first_decision": first,
        "is_own_first": first is not None and first["decided_by"] == user,
        "amount": amount,
        "amount_unit": contract.by_name[business.amount].unit if business else None,
        "needs_two": _needs_two(contract, amount),
        "appeal_roles": ["Admin", *contract.desk.appeal_roles],
        "not_recorded": None,
        "written": {},
    }


def _needs_two(contract: Contract, amount: Any) -> bool:
    limit = contract.desk.four_eyes_above
    return limit is not None and (amount is None or float(amount) > limit)


def read_walk(
    session: Session, query: QueueQuery, score: database.Row, user: str
) -> dict[str, Any]:
    """Return the template values with which a person works from one application to the next.

    Args:
        session: database session that reads.
        query: queue that the person works on. Its batch is that of the application.
        score: row of the application's score.
        user: who works, as `airflow:NAME`.
    """
    key, batch_id = score["loan_id"], score["batch_id"]
    query = query.model_copy(update={"batch": batch_id, "loan": None})
    position: QueuePlace | None = None
    follows = None
    if score["decision"] in ("review", "refer"):
        run = current_run(session, batch_id)
        wanted = query.queue_filter(user)
        with database.transaction(session.connection):
            position = place_in_queue(session, run, wanted, key)
            follows = next_to_decide(session, run, wanted, key, user)
    with database.transaction(session.connection):
        holder = database.row(session.connection, "select_holder", batch_id=batch_id, loan_id=key)
    waiting_since, due = due_at(session, batch_id)
    return {
        "queue_query": query.kept(),
        "position": position,
        "follows": follows,
        "holder": holder,
        "is_mine": holder is not None and holder["assigned_to"] == user,
        "waiting_hours": hours_between(waiting_since, now()),
        "hours_left": hours_between(now(), due),
        "due": due,
        "toast": read_toast(session, query.done, user),
        "is_undone": query.undone == "yes",
    }
