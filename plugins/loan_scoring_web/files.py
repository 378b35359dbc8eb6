"""Pages that stages wrote as files: how a batch was judged, and model cards."""

import re

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import FileResponse

from loan_scoring import contract, settings
from loan_scoring_web.limits import LimitedRoute

router = APIRouter(include_in_schema=False, route_class=LimitedRoute)


@router.get(
    "/quality/{dag_id}/{batch_id}/{revision}", dependencies=[Depends(requires_access_dag("GET"))]
)
def quality(dag_id: str, batch_id: str, revision: int) -> FileResponse:
    """Show how a revision of a batch was judged; who may see its ingest DAG may see this."""
    portfolio = dag_id.removesuffix("_ingest")
    is_batch = re.fullmatch(r"history|\d{4}-\d{2}-\d{2}", batch_id)
    if portfolio in contract.names() and is_batch:
        page = settings.quality_page(portfolio, batch_id, revision)
        if page.is_file():
            return FileResponse(page, media_type="text/html")
    raise HTTPException(404, f"no page of batch {batch_id} revision {revision}: not judged yet")


@router.get("/models/{dag_id}/{model_version}", dependencies=[Depends(requires_access_dag("GET"))])
def card(dag_id: str, model_version: str) -> FileResponse:
    """Show a model card as it was when the model was fitted; for who may see its train DAG."""
    portfolio = dag_id.removesuffix("_train")
    if portfolio in contract.names() and re.fullmatch(r"[a-z]+-\d+", model_version):
        page = settings.card_page(portfolio, model_version)
        if page.is_file():
            return FileResponse(page, media_type="text/html")
    raise HTTPException(404, f"no card of {model_version}; `loan-scoring models card` writes it")
