"""Define the routes of the models page, of model cards and of the rollback."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from loan_scoring.database.session import Session
from loan_scoring_web.databases import Administering, Reading
from loan_scoring_web.forms import PromotionForm, RollbackForm, SignatureForm
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.models import read_models_page
from loan_scoring_web.promoting import Promoting
from loan_scoring_web.rendering import HEADERS, page
from loan_scoring_web.rights import CurrentUser, by, may_promote

router = APIRouter(
    prefix="/p/{portfolio}/models", include_in_schema=False, route_class=LimitedRoute
)

VERSION = re.compile(r"(propensity|personas)-[1-9][0-9]{0,8}")
OF_SCANS = re.compile(r"scans-[1-9][0-9]{0,8}")


@router.get("")
def models(
    request: Request,
    session: Reading,
    user: CurrentUser,
    left: str | None = None,
    right: str | None = None,
) -> Response:
    """Show all model versions, a comparison of two versions, and the last 100 verdicts."""
    for version in filter(None, (left, right)):
        _refuse_no_version(version)
    shown = read_models_page(session, left or None, right or None)
    may = may_promote(user, session.contract.promotion.roles)
    return page(request, "models.html", active="models", may_promote=may, **shown)


@router.get("/{model_version}/card")
def card(request: Request, session: Reading, model_version: str) -> Response:
    """Show the model card that describes a version and the version fitted together with it."""
    is_of_scans = OF_SCANS.fullmatch(model_version) is not None
    if not is_of_scans:
        _refuse_no_version(model_version)
    # Imported here because these modules import scikit-learn, which would slow the start of the API
    # server.
    from loan_scoring.models.card.content import read_card
    from loan_scoring.models.card.render import render_card_html
    from loan_scoring.scans.promotion import read_card as read_card_of_scans

    found = (read_card_of_scans if is_of_scans else read_card)(session, model_version)
    shown = render_card_html(found, _back(request, session))
    return HTMLResponse(shown, headers=HEADERS)


@router.get("/{model_version}/report")
def report(
    request: Request, session: Reading, model_version: str, annex_iv: bool = False
) -> Response:
    """Show the whole file of a version, with what Annex IV of the EU AI Act asks for on request."""
    _refuse_no_version(model_version)
    # Imported here because these modules import scikit-learn, which would slow the start of the API
    # server.
    from loan_scoring.models.card.render import render_card_html
    from loan_scoring.models.report.content import read_report

    shown = read_report(session, model_version, annex_iv=annex_iv)
    return HTMLResponse(render_card_html(shown, _back(request, session)), headers=HEADERS)


@router.post("/{model_version}/sign")
def sign(
    session: Administering,
    request: Request,
    user: CurrentUser,
    model_version: str,
    form: Annotated[SignatureForm, Form()],
) -> Response:
    """Sign a version as its reviewer, or accept it for use."""
    _refuse_no_version(model_version)
    # Imported here because this module imports scikit-learn, which would slow the start of the API
    # server.
    from loan_scoring.models.promotion.signatures import sign_model

    sign_model(session, model_version, form.signed_as, by(user), form.comment, form.seen)
    base = request.scope.get("root_path", "")
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/models#signatures", 303)


@router.post("/{model_version}/promote")
def promote(
    session: Promoting,
    request: Request,
    user: CurrentUser,
    model_version: str,
    form: Annotated[PromotionForm, Form()],
) -> Response:
    """Promote a pair, or overrule the gates that refused it. The gates are evaluated again."""
    _refuse_no_version(model_version)
    # Imported here because this module imports scikit-learn, which would slow the start of the API
    # server.
    from loan_scoring.models.promotion.decide import promote_by_hand

    promote_by_hand(
        session,
        model_version,
        by(user),
        form.comment,
        overrules=form.overrules == "yes",
        seen=form.seen,
    )
    base = request.scope.get("root_path", "")
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/models#history", 303)


@router.post("/rollback")
def rollback(
    request: Request,
    session: Administering,
    user: CurrentUser,
    form: Annotated[RollbackForm, Form()],
) -> Response:
    """Make the models champions again that the current champions replaced."""
    # Imported here because this module imports scikit-learn, which would slow the start of the API
    # server.
    from loan_scoring.models.promotion.decide import rollback_champions

    rollback_champions(session, by(user), comment=form.comment, seen=form.seen)
    base = request.scope.get("root_path", "")
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/models#history", 303)


def _back(request: Request, session: Session) -> tuple[str, str]:
    """Return text and address of the link from a card to the models page."""
    base = request.scope.get("root_path", "")
    return "All models", f"{base}/p/{session.contract.portfolio}/models"


def _refuse_no_version(version: str) -> None:
    if not VERSION.fullmatch(version):
        raise HTTPException(404, f"there is no model version {version[:40]}")
