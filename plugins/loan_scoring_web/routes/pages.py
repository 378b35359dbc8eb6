"""Define the routes of the monitoring pages: portfolio, batches, alerts, operations."""

import io
import re
from typing import Annotated

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, Form, HTTPException, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from loan_scoring import contract, database
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.spreadsheet import export_quarantine
from loan_scoring.monitoring.alerts.handling import handle_alert
from loan_scoring_web.databases import Operating, Reading, read_session
from loan_scoring_web.failed_tries import count_failed_tries
from loan_scoring_web.forms import AlertForm
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.alerts import read_alert_page, read_alerts_page
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.batches import read_batches_page
from loan_scoring_web.pages.operations import read_operations_page
from loan_scoring_web.pages.overview import read_portfolio_page
from loan_scoring_web.pages.timeline import read_timeline_page
from loan_scoring_web.rendering import page
from loan_scoring_web.rights import CurrentUser, Operator, by, readable, seen_persons
from loan_scoring_web.routes.stages import STAGES
from loan_scoring_web.routes.static import SWAGGER_VERSION
from loan_scoring_web.story_forms import BatchesQuery, TimelineQuery

router = APIRouter(include_in_schema=False, route_class=LimitedRoute)

BATCH_ID = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


@router.get("/")
def first(request: Request, user: CurrentUser) -> Response:
    """Redirect to the first portfolio that has a nightly batch and that the user may see.

    If none of these portfolios has a nightly batch, redirect to the first portfolio that the user
    may see.
    """
    names = readable(request, user)
    if not names:
        raise HTTPException(
            403, "you may not see any portfolio: an Admin can give you rights on its DAGs"
        )
    chosen = next(filter(_has_night, names), names[0])
    return RedirectResponse(f"{request.scope.get('root_path', '')}/p/{chosen}/")


def _has_night(portfolio: str) -> bool:
    try:
        with read_session(portfolio) as session:
            return bool(database.rows(session.connection, "select_nights", nights=1, until=None))
    except LoanScoringError:
        return False  # need not be logged, because the page of this portfolio shows the error


@router.get("/dag/{dag_id}", dependencies=[Depends(requires_access_dag("GET"))])
def of_dag(request: Request, dag_id: str) -> Response:
    """Redirect to the portfolio of a DAG, or show that the DAG belongs to no portfolio.

    Airflow shows the tab Portfolio on every DAG, even on a DAG of another product.
    """
    for portfolio in contract.names():
        if dag_id in {f"{portfolio}_{stage}" for stage in STAGES}:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/p/{portfolio}/")
    return page(
        request, "refusal.html", title="No portfolio", active=None,
        reason=f"The DAG {dag_id} does not belong to loan-scoring.",
    )  # fmt: skip


@router.get("/p/{portfolio}")
@router.get("/p/{portfolio}/")
def overview_page(request: Request, session: Reading, user: CurrentUser) -> Response:
    """Show the portfolio page: problems, recent nights, champions, plots, people's decisions."""
    found = read_portfolio_page(session, seen_persons(user))
    return page(request, "overview.html", active="portfolio", **found)


@router.get("/p/{portfolio}/batches")
def batches(
    request: Request, session: Reading, query: Annotated[BatchesQuery, Query()]
) -> Response:
    """Show the list of batches, filtered and in the chosen order."""
    found = read_batches_page(
        session,
        query.until,
        since=query.since,
        state=query.state,
        sort=query.sort,
        ascending=query.order == "up",
    )
    return page(request, "batches.html", active="batches", **found)


@router.get("/p/{portfolio}/batches/{batch_id}")
def one_batch(request: Request, session: Reading, user: CurrentUser, batch_id: str) -> Response:
    """Show the page of one batch."""
    found = None
    if re.fullmatch(BATCH_ID, batch_id):
        found = read_batch_page(session, batch_id, seen_persons(user))
    if found is None:
        raise HTTPException(404, f"there is no batch {batch_id[:40]}")
    return page(request, "batch.html", active="batches", **found)


@router.get("/p/{portfolio}/batches/{batch_id}/quarantine.csv")
def quarantined(session: Reading, batch_id: str) -> Response:
    """Return the quarantined rows of a batch as a CSV file that a person can correct."""
    if batch_id != "history" and not re.fullmatch(BATCH_ID, batch_id):
        raise HTTPException(404, f"there is no batch {batch_id[:40]}")
    out = io.StringIO()
    export_quarantine(session, batch_id, out)
    name = f"quarantine-{session.contract.portfolio}-{batch_id}.csv"
    return Response(
        out.getvalue(),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/p/{portfolio}/alerts")
def alerts_page(
    request: Request,
    session: Reading,
    user: CurrentUser,
    batch: Annotated[str | None, Query(pattern=BATCH_ID)] = None,
) -> Response:
    """Show the alerts of one batch, or of all batches if no batch is named."""
    found = read_alerts_page(session, batch)
    return page(request, "alerts.html", active="alerts", me=by(user), **found)


@router.get("/p/{portfolio}/alerts/{alert_id}")
def alert_page(
    request: Request,
    session: Reading,
    user: CurrentUser,
    alert_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
) -> Response:
    """Show one alert with its assignee and its story, from the nights to the new model."""
    found = read_alert_page(session, alert_id)
    if found is None:
        raise HTTPException(404, f"there is no alert {alert_id}")
    return page(request, "alert.html", active="alerts", me=by(user), **found)


@router.get("/p/{portfolio}/timeline")
def timeline_page(
    request: Request, session: Reading, query: Annotated[TimelineQuery, Query()]
) -> Response:
    """Show what happened to the portfolio, the latest first."""
    return page(request, "timeline.html", active="timeline", **read_timeline_page(session, query))


@router.post("/p/{portfolio}/alerts/{alert_id}")
def change_alert(
    request: Request,
    user: Operator,
    session: Operating,
    alert_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    form: Annotated[AlertForm, Form()],
) -> Response:
    """Acknowledge, assign, snooze or resolve an alert, and redirect to the page of the form."""
    handle_alert(session, alert_id, form.action, by(user), form.comment, form.until, form.assignee)
    base = request.scope.get("root_path", "")
    address = f"{base}/p/{session.contract.portfolio}/alerts"
    address += f"/{alert_id}" if form.shown == "one" else f"#alert-{alert_id}"
    return RedirectResponse(address, status_code=303)


@router.get("/p/{portfolio}/operations")
def operations_page(request: Request, session: Reading) -> Response:
    """Show the operations page: latency, traffic, errors and service level."""
    shown = read_operations_page(session)
    failed = count_failed_tries(session.contract.portfolio)
    return page(request, "operations.html", active="operations", failed_tries=failed, **shown)


@router.get("/p/{portfolio}/api")
def api_page(request: Request, session: Reading) -> Response:
    """Show the API in Swagger UI, with examples of the portfolio, and the Python client."""
    del session  # it checks the right to read the portfolio
    return page(request, "api.html", active="api", swagger=SWAGGER_VERSION)
