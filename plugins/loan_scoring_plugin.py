"""What Airflow's UI shows of loan-scoring, behind Airflow's own login and rights."""

import re

from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

from loan_scoring import contract, settings

# Airflow mounts a plugin's app without any check of its own.
app = FastAPI(title="loan-scoring", dependencies=[Depends(get_user)])


@app.get(
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


@app.get("/models/{dag_id}/{model_version}", dependencies=[Depends(requires_access_dag("GET"))])
def card(dag_id: str, model_version: str) -> FileResponse:
    """Show a model card as it was when the model was fitted; for who may see its train DAG."""
    portfolio = dag_id.removesuffix("_train")
    if portfolio in contract.names() and re.fullmatch(r"[a-z]+-\d+", model_version):
        page = settings.card_page(portfolio, model_version)
        if page.is_file():
            return FileResponse(page, media_type="text/html")
    raise HTTPException(404, f"no card of {model_version}; `loan-scoring models card` writes it")


class LoanScoringPlugin(AirflowPlugin):
    """Mounts the pages under /loan-scoring."""

    name = "loan_scoring"
    fastapi_apps = [{"app": app, "url_prefix": "/loan-scoring", "name": "loan-scoring"}]  # noqa: RUF012 (Airflow's form)
