"""Define the routes of scanned forms: the pages that wait, one page, and its correction."""

from typing import Annotated

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response

from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.scoring.fields import is_storable
from loan_scoring_web.databases import Operating, Reading, record_read
from loan_scoring_web.forms import FormFields
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.scans import given_texts, read_picture, read_scan, read_waiting
from loan_scoring_web.rendering import HEADERS, page
from loan_scoring_web.rights import CurrentUser, by

router = APIRouter(prefix="/p/{portfolio}/scans", include_in_schema=False, route_class=LimitedRoute)

ScanId = Annotated[int, Path(ge=1, lt=2**63)]


@router.get("")
def waiting(request: Request, session: Reading, done: int | None = None) -> Response:
    """Show the scanned pages that wait for a person."""
    return page(request, "scans.html", active="desk", done=done, **read_waiting(session))


@router.get("/{scan_id}")
def scan(request: Request, session: Reading, user: CurrentUser, scan_id: ScanId) -> Response:
    """Show one scanned page: the crop of each doubtful field beside its reading.

    Table `readings` records who read it, if the loan is known.
    """
    return _scan(request, session, user, scan_id)


@router.get("/{scan_id}/picture")
def picture(session: Reading, user: CurrentUser, scan_id: ScanId) -> Response:
    """Show the whole scanned page. Table `readings` records who reads it, if the loan is known."""
    from loan_scoring.scans.corrections import read_page

    found = read_page(session, scan_id)
    if found["loan_id"] is not None:
        record_read(session.contract.portfolio, by(user), found["loan_id"], "desk")
    return Response(read_picture(session, found), media_type="image/jpeg", headers=HEADERS)


def _scan(
    request: Request,
    session: Session,
    user: BaseUser,
    scan_id: int,
    status: int = 200,
    not_recorded: str | None = None,
    written: dict[str, str] | None = None,
) -> Response:
    shown = read_scan(session, scan_id)
    if shown["scan"]["loan_id"] is not None:
        record_read(session.contract.portfolio, by(user), shown["scan"]["loan_id"], "desk")
    return page(
        request, "scan.html", status, active="desk", not_recorded=not_recorded,
        written=written or {}, **shown,
    )  # fmt: skip


@router.post("/{scan_id}")
def correct(
    request: Request, session: Operating, user: CurrentUser, scan_id: ScanId, form: FormFields
) -> Response:
    """Record the user's corrections, and redirect to the list, or to the page if fields are open.

    If nothing is recorded, the page says why, and has what was written.
    """
    from loan_scoring.scans.corrections import correct_page, read_page

    texts, seen = given_texts(read_page(session, scan_id), _storable(form))
    if not texts:
        raise HTTPException(422, "no field was given; open the page again")
    try:
        recorded = correct_page(session, scan_id, texts, seen, by(user))
    except StateError as error:
        return _scan(request, session, user, scan_id, 409, str(error), form)
    base = request.scope.get("root_path", "")
    place = f"/{scan_id}" if recorded["doubtful"] else f"?done={scan_id}"
    return RedirectResponse(f"{base}/p/{session.contract.portfolio}/scans{place}", 303)


def _storable(form: dict[str, str]) -> dict[str, str]:
    """Return the fields of a form unchanged if Postgres can store all of them."""
    for name, text in form.items():
        if not is_storable(text):
            message = "this text cannot be stored: remove special characters"
            raise RequestValidationError([{"loc": ("body", name), "msg": message}])
    return form
