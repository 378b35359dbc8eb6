"""Define the routes of the desk: the queue, one application, decisions and what-ifs."""

import re
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.desk.application import read_application, score_what_if
from loan_scoring.desk.changes import find_smallest_changes
from loan_scoring.desk.decisions import (
    claim_application,
    record_decision,
    record_referrals,
    undo_decision,
)
from loan_scoring.desk.loan_ids import typed_loan_id
from loan_scoring.desk.queue import current_run, next_to_decide
from loan_scoring.desk.terms import Terms
from loan_scoring.errors import InputError, MissingError, StateError
from loan_scoring.scoring.queue import fill_queue, is_filled
from loan_scoring.scoring.request import CHAMPION
from loan_scoring_web.databases import Operating, Reading, record_read, write_session
from loan_scoring_web.forms import (
    BulkForm,
    ClaimForm,
    DecisionForm,
    FormFields,
    QueueQuery,
    UndoForm,
    faults_line,
    parse_queue,
)
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.application import (
    changed_inputs,
    negotiable_inputs,
    read_application_page,
    smallest_words,
    what_if_result,
)
from loan_scoring_web.pages.deciding import read_deciding
from loan_scoring_web.pages.queue import read_queue_page
from loan_scoring_web.rendering import page
from loan_scoring_web.rights import CurrentUser, by, may_appeal

router = APIRouter(prefix="/p/{portfolio}/desk", include_in_schema=False, route_class=LimitedRoute)

MODEL = re.compile(r"champion|propensity-[1-9][0-9]{0,8}")


@router.get("")
def queue(
    request: Request,
    session: Reading,
    user: CurrentUser,
    query: Annotated[QueueQuery, Query()],
) -> Response:
    """Show the queue, which lists the applications of a batch that a person must decide."""
    has_scans = session.contract.scan_form is not None
    try:
        prepare_queue(session, query.batch)
        shown = read_queue_page(session, query, by(user))
    except MissingError as error:
        if query.batch:
            raise
        # The request names no batch, and no batch is scored yet. This is normal in a new portfolio,
        # so show an empty desk instead of an error.
        empty = {"reason": str(error), "has_scans": has_scans}
        return page(request, "desk_empty.html", active="desk", **empty)
    return page(request, "desk.html", active="desk", has_scans=has_scans, **shown)


def prepare_queue(session: Session, batch_id: str | None) -> None:
    """Write the queue of a batch if it is missing, or has other columns than the contract."""
    run = current_run(session, batch_id)
    if not is_filled(session, run):
        session.connection.rollback()
        with write_session(session.contract.portfolio) as writing:
            fill_queue(writing, run)


@router.get("/{loan_id}")
def application(
    request: Request,
    session: Reading,
    user: CurrentUser,
    loan_id: str,
    query: Annotated[QueueQuery, Query()],
) -> Response:
    """Show one application: its score, reasons, inputs and decisions, and the what-if form.

    Table `readings` records who read it.
    """
    shown = _application(request, session, user, loan_id, query)
    key = typed_loan_id(session.contract, loan_id)
    record_read(session.contract.portfolio, by(user), key, "desk")
    return shown


def _application(
    request: Request,
    session: Session,
    user: BaseUser,
    loan_id: str,
    query: QueueQuery,
    status: int = 200,
    **changed: Any,
) -> Response:
    shown = read_application_page(session, loan_id)
    prepare_queue(session, shown["shown"].score["batch_id"])
    shown |= read_deciding(session, shown["shown"], query, by(user))
    shown["may_appeal"] = may_appeal(user, session.contract.desk.appeal_roles)
    return page(request, "desk_application.html", status, active="desk", **shown | changed)


@router.post("/undo")
def undo(
    request: Request, session: Operating, user: CurrentUser, form: Annotated[UndoForm, Form()]
) -> Response:
    """Take back the user's last decision on a loan, and redirect to the page of the loan."""
    undone = undo_decision(session, form.approval_id, by(user))
    kept = parse_queue(form.queue).kept(undone="yes")
    return _to(request, session, f"/{quote(undone['loan_id'])}", kept)


@router.post("/bulk")
def decide_many(
    request: Request, session: Operating, user: CurrentUser, form: Annotated[BulkForm, Form()]
) -> Response:
    """Decide all open applications that were referred for one reason, and redirect to the queue."""
    loans, _ = record_referrals(
        session, form.scoring_run_id, form.reason, form.decision, form.comment, by(user),
        form.seen_loans, form.standard_reason,
    )  # fmt: skip
    return _to(request, session, "", parse_queue(form.queue).kept(bulk=loans))


@router.post("/{loan_id}/decision")
def decide(
    request: Request,
    session: Operating,
    user: CurrentUser,
    loan_id: str,
    form: FormFields,
) -> Response:
    """Record the user's decision on an application, and redirect to the next application.

    If the form names no queue, redirect to the page of the application. If the decision is not
    recorded, the page of the application says why, and has what was written.
    """
    return _decide(request, session, user, loan_id, form, is_appeal=False)


@router.post("/{loan_id}/appeal")
def decide_appeal(
    request: Request,
    session: Operating,
    user: CurrentUser,
    loan_id: str,
    form: FormFields,
) -> Response:
    """Record the user's decision on an appeal against a decision of the policy.

    This needs an Admin, or a role of the contract's `desk.appeal_roles`.
    """
    roles = session.contract.desk.appeal_roles
    if not may_appeal(user, roles):
        raise HTTPException(
            403, f"an appeal needs one of these roles of Airflow: {', '.join(['Admin', *roles])}"
        )
    return _decide(request, session, user, loan_id, form, is_appeal=True)


def _decide(
    request: Request,
    session: Session,
    user: BaseUser,
    loan_id: str,
    written: dict[str, str],
    *,
    is_appeal: bool,
) -> Response:
    try:
        form = DecisionForm.model_validate(written)
        done = record_decision(
            session, loan_id, form.decision, form.comment, by(user), form.scoring_run_id, form.seen,
            Terms(form.standard_reason, form.approved_up_to, is_appeal),
        )  # fmt: skip
    except (ValidationError, InputError, StateError) as error:
        is_invalid = isinstance(error, ValidationError)
        reason = faults_line(error.errors()) if is_invalid else str(error)
        again = _application(
            request, session, user, loan_id, parse_queue(written.get("queue", "")),
            409 if isinstance(error, StateError) else 422, not_recorded=reason, written=written,
        )  # fmt: skip
        key = typed_loan_id(session.contract, loan_id)
        record_read(session.contract.portfolio, by(user), key, "desk")
        return again
    query = parse_queue(form.queue or "")
    kept = query.kept(done=done.approval_id)
    if form.queue is None or is_appeal:
        return _to(request, session, f"/{quote(str(done.loan_id))}", kept, "#decisions")
    run = current_run(session, query.batch)
    with database.transaction(session.connection):
        following = next_to_decide(
            session, run, query.queue_filter(by(user)), done.loan_id, by(user)
        )
    return _to(request, session, "" if following is None else f"/{quote(str(following))}", kept)


@router.post("/{loan_id}/claim")
def claim(
    request: Request,
    session: Operating,
    user: CurrentUser,
    loan_id: str,
    form: Annotated[ClaimForm, Form()],
) -> Response:
    """Claim an application, give it back or assign it, and redirect to its page."""
    if form.action == "assign" and form.assignee is None:
        raise HTTPException(422, "assignee: name the user who is to work on the application")
    to = {"claim": by(user), "release": None, "assign": f"airflow:{form.assignee}"}[form.action]
    claim_application(session, loan_id, to, by(user), form.holder)
    key = quote(str(typed_loan_id(session.contract, loan_id)))
    return _to(request, session, f"/{key}", parse_queue(form.queue).kept())


def _to(
    request: Request, session: Session, path: str, query: str, place: str = ""
) -> RedirectResponse:
    base = request.scope.get("root_path", "")
    query = f"?{query}" if query else ""
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/desk{path}{query}{place}", 303)


@router.post("/{loan_id}/what-if")
def what_if(
    request: Request, session: Operating, user: CurrentUser, loan_id: str, form: FormFields
) -> Response:
    """Score an application with changed inputs by a chosen model, and show the result.

    The recorded score of the application does not change. If an input is invalid, the page shows
    the errors with status 422.
    """
    model = form.pop("model", CHAMPION)
    if not MODEL.fullmatch(model):
        raise HTTPException(422, "model is neither champion nor a version such as propensity-1")
    shown = read_application(session, loan_id)
    changes = changed_inputs(session.contract, shown, form)
    changed: dict[str, Any] = {"form": form, "model": model}
    try:
        sent, answer = score_what_if(session, loan_id, changes, model, by(user))
    except InputError as error:
        changed["faults"] = {each.field: each.message for each in error.faults}
        return _application(request, session, user, loan_id, QueueQuery(), 422, **changed)
    changed["what_if"] = what_if_result(session.contract, answer, sent, shown)
    return _application(request, session, user, loan_id, QueueQuery(), **changed)


@router.post("/{loan_id}/smallest-change")
def smallest_change(
    request: Request, session: Operating, user: CurrentUser, loan_id: str
) -> Response:
    """Show the smallest change of each single input with which the policy approves."""
    shown = read_application(session, loan_id)
    names = negotiable_inputs(session.contract, shown)
    found = find_smallest_changes(session, loan_id, names)
    record_read(
        session.contract.portfolio, by(user), typed_loan_id(session.contract, loan_id), "desk"
    )
    return _application(
        request,
        session,
        user,
        loan_id,
        QueueQuery(),
        smallest=smallest_words(session.contract, found),
    )
