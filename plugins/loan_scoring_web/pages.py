"""The pages of monitoring: portfolio, batches, drift, alerts, operations."""

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from loan_scoring import contract
from loan_scoring.pages import overview
from loan_scoring_web.databases import Reading
from loan_scoring_web.rendering import page
from loan_scoring_web.rights import CurrentUser, readable

router = APIRouter(include_in_schema=False)

STAGES = ("ingest", "outcomes", "train", "score", "metrics")


@router.get("/")
def first(request: Request, user: CurrentUser) -> Response:
    """Open the first portfolio that the user may see; the others stand in its navigation."""
    for portfolio in readable(request, user):
        return RedirectResponse(f"{request.scope.get('root_path', '')}/p/{portfolio}/")
    raise HTTPException(403, "you may not see the DAGs of any portfolio")


@router.get("/dag/{dag_id}", dependencies=[Depends(requires_access_dag("GET"))])
def of_dag(request: Request, dag_id: str) -> Response:
    """Open the portfolio of a DAG: the tab that stands on each DAG of this Airflow."""
    for portfolio in contract.names():
        if dag_id in {f"{portfolio}_{stage}" for stage in STAGES}:
            return RedirectResponse(f"{request.scope.get('root_path', '')}/p/{portfolio}/")
    return page(
        request, "refusal.html", title="No portfolio", active=None,
        told=f"The DAG {dag_id} is not of loan-scoring.",
    )  # fmt: skip


@router.get("/p/{portfolio}/")
def overview_page(request: Request, session: Reading) -> Response:
    """Show the last nights at a glance."""
    return page(request, "overview.html", active="portfolio", **overview.read(session))
