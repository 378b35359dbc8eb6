"""The approver's desk: applications in review and referred ones, and what persons decided."""

import math
import re
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from loan_scoring.database.session import Session
from loan_scoring.desk.application import read_application, score_what_if
from loan_scoring.desk.decisions import DECISIONS, LEFT_TO_A_PERSON, record_decision, typed_loan_id
from loan_scoring.desk.queue import QueueFilter
from loan_scoring.errors import InputError, MissingError
from loan_scoring.scoring.request import CHAMPION
from loan_scoring_web.databases import Operating, Reading
from loan_scoring_web.forms import Form, choice, required, share, storable
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.desk import (
    changed_inputs,
    read_application_page,
    read_queue_page,
    what_if_result,
)
from loan_scoring_web.rendering import page
from loan_scoring_web.rights import CurrentUser, by

router = APIRouter(prefix="/p/{portfolio}/desk", include_in_schema=False, route_class=LimitedRoute)

BATCH = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MODEL = re.compile(r"champion|propensity-[1-9][0-9]{0,8}")


@router.get("")
def queue(
    request: Request,
    session: Reading,
    batch: str | None = None,
    decision: str | None = None,
    persona: str | None = None,
    reason: str | None = None,
    low: str | None = None,
    high: str | None = None,
    decided: str | None = None,
    after: str | None = None,
) -> Response:
    """Show the applications of a batch that are left to a person."""
    if batch and not BATCH.fullmatch(batch):
        raise HTTPException(422, "batch is no date, YYYY-MM-DD")
    wanted = QueueFilter(
        decision=choice(decision, "decision", LEFT_TO_A_PERSON),
        persona=storable(persona, "persona"),
        reason=storable(reason, "reason"),
        low=share(low, "low"),
        high=share(high, "high"),
        is_decided={None: None, "yes": True, "no": False}[
            choice(decided, "decided", ("yes", "no"))
        ],
    )
    try:
        shown = read_queue_page(session, batch or None, wanted, _after(after))
    except MissingError as error:  # a portfolio without scores has a desk, and it is empty
        if batch:
            raise
        return page(request, "desk_empty.html", active="desk", told=str(error))
    return page(request, "desk.html", active="desk", **shown)


def _after(text: str | None) -> tuple[float, str] | None:
    if not text:
        return None
    chance, _, loan_id = text.partition("/")
    try:
        value = float(chance)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and loan_id):
        raise HTTPException(422, "after is no place in the queue; open the queue anew")
    return value, loan_id


@router.get("/{loan_id}")
def application(request: Request, session: Reading, loan_id: str) -> Response:
    """Show one application: score, reasons, inputs, decisions, and a form for what if."""
    return _application(request, session, loan_id)


def _application(
    request: Request, session: Session, loan_id: str, status: int = 200, **more: Any
) -> Response:
    shown = read_application_page(session, loan_id) | more
    return page(request, "desk_application.html", status, active="desk", **shown)


@router.post("/{loan_id}/decision")
def decide(
    request: Request, session: Operating, user: CurrentUser, loan_id: str, form: Form
) -> Response:
    """Record what the user decides, under the user's name."""
    decision = choice(form.get("decision"), "decision", DECISIONS)
    if decision is None:
        raise HTTPException(422, "decision is empty: approve or decline")
    record_decision(
        session,
        loan_id,
        decision,
        required(form, "comment"),
        by(user),
        required(form, "scoring_run_id", 200),
        form.get("seen", ""),
    )
    key = typed_loan_id(session.contract, loan_id)
    base = request.scope.get("root_path", "")
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/desk/{key}#decisions", 303)


@router.post("/{loan_id}/what-if")
def what_if(
    request: Request, session: Operating, user: CurrentUser, loan_id: str, form: Form
) -> Response:
    """Score the application with changed inputs, by a chosen version; no score is stored."""
    model = form.pop("model", CHAMPION)
    if not MODEL.fullmatch(model):
        raise HTTPException(422, "model is neither champion nor a version")
    shown = read_application(session, loan_id)
    changes = changed_inputs(session.contract, shown, form)
    more: dict[str, Any] = {"form": form, "model": model}
    try:
        changed, answer = score_what_if(session, loan_id, changes, model, by(user))
    except InputError as error:
        more["faults"] = {each.field: each.message for each in error.faults}
        return _application(request, session, loan_id, 422, **more)
    more["what_if"] = what_if_result(session.contract, answer, changed, shown)
    return _application(request, session, loan_id, **more)
