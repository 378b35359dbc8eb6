"""Define the routes that serve quality pages and model cards, which stages wrote as HTML files."""

import re
from typing import Annotated

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Path
from fastapi.responses import FileResponse

from loan_scoring import contract, settings
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.routes.models import VERSION

router = APIRouter(include_in_schema=False, route_class=LimitedRoute)

BATCH_ID = r"history|[0-9]{4}-[0-9]{2}-[0-9]{2}"


@router.get(
    "/quality/{dag_id}/{batch_id}/{revision}", dependencies=[Depends(requires_access_dag("GET"))]
)
def quality(
    dag_id: str, batch_id: str, revision: Annotated[int, Path(ge=1, lt=10**9)]
) -> FileResponse:
    """Return Great Expectations' page of a batch revision as a file to download.

    The user must have the right to see the `ingest` DAG.
    """
    portfolio = _portfolio(dag_id, "ingest")
    if portfolio and re.fullmatch(BATCH_ID, batch_id):
        page = settings.quality_page_path(portfolio, batch_id, revision)
        if page.is_file():
            name = f"quality-{portfolio}-{batch_id}-{revision}.html"
            return FileResponse(page, media_type="text/html", filename=name)
    raise HTTPException(
        404, f"batch {batch_id} revision {revision} has no quality page: it was not checked yet"
    )


@router.get("/models/{dag_id}/{model_version}", dependencies=[Depends(requires_access_dag("GET"))])
def card(dag_id: str, model_version: str) -> FileResponse:
    """Show the model card that `train` wrote, if the user may see the `train` DAG."""
    portfolio = _portfolio(dag_id, "train")
    if portfolio and VERSION.fullmatch(model_version):
        page = settings.card_path(portfolio, model_version)
        if page.is_file():
            return FileResponse(page, media_type="text/html")
    raise HTTPException(404, f"no card of {model_version}: `loan-scoring models card` writes it")


def _portfolio(dag_id: str, stage: str) -> str | None:
    """Return the name of the portfolio whose DAG of the given stage has this dag_id.

    Return None if there is no such portfolio. The caller must then refuse the page, because the
    user's rights were checked for `dag_id`, which is not the DAG of this stage.
    """
    return next((each for each in contract.names() if dag_id == f"{each}_{stage}"), None)
