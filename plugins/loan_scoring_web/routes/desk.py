"""Define the routes of the desk: the queue, one application, decisions and what-ifs."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from loan_scoring.database.session import Session
from loan_scoring.desk.application import read_application, score_what_if
from loan_scoring.desk.decisions import record_decision, typed_loan_id
from loan_scoring.errors import InputError, MissingError
from loan_scoring.scoring.request import CHAMPION
from loan_scoring_web.databases import Operating, Reading
from loan_scoring_web.forms import DecisionForm, FormFields, QueueQuery
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.application import (
    changed_inputs,
    read_application_page,
    what_if_result,
)
from loan_scoring_web.pages.queue import read_queue_page
from loan_scoring_web.rendering import page
from loan_scoring_web.rights import CurrentUser, by

router = APIRouter(prefix="/p/{portfolio}/desk", include_in_schema=False, route_class=LimitedRoute)

MODEL = re.compile(r"champion|propensity-[1-9][0-9]{0,8}")


@router.get("")
def queue(request: Request, session: Reading, query: Annotated[QueueQuery, Query()]) -> Response:
    """Show the queue, which lists the applications of a batch that a person must decide."""
    try:
        shown = read_queue_page(session, query.batch, query.queue_filter(), query.place())
    except MissingError as error:
        if query.batch:
            raise
        # The request names no batch, and no batch is scored yet. This is normal in a new portfolio,
        # so show an empty desk instead of an error.
        return page(request, "desk_empty.html", active="desk", reason=str(error))
    return page(request, "desk.html", active="desk", **shown)


@router.get("/{loan_id}")
def application(request: Request, session: Reading, loan_id: str) -> Response:
    """Show one application: its score, reasons, inputs and decisions, and the what-if form."""
    return _application(request, session, loan_id)


def _application(
    request: Request, session: Session, loan_id: str, status: int = 200, **changed: Any
) -> Response:
    shown = read_application_page(session, loan_id) | changed
    return page(request, "desk_application.html", status, active="desk", **shown)


@router.post("/{loan_id}/decision")
def decide(
    request: Request,
    session: Operating,
    user: CurrentUser,
    loan_id: str,
    form: Annotated[DecisionForm, Form()],
) -> Response:
    """Record the user's decision on an application, and redirect to the page of the application."""
    record_decision(
        session, loan_id, form.decision, form.comment, by(user), form.scoring_run_id, form.seen
    )
    key = typed_loan_id(session.contract, loan_id)
    base = request.scope.get("root_path", "")
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/desk/{key}#decisions", 303)


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
        return _application(request, session, loan_id, 422, **changed)
    changed["what_if"] = what_if_result(session.contract, answer, sent, shown)
    return _application(request, session, loan_id, **changed)
