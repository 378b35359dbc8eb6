"""Refuse answers on a promotion, in Airflow's own API, by persons who may not give them.

Airflow lets everyone answer who may change runs of the DAG. A promotion needs an Admin or a
declared role, and a second person (docs/adr/0044). The answer is refused before Airflow takes it,
so the question stays open for somebody else.
"""

import re
from typing import Any

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from loan_scoring import contract
from loan_scoring_web.databases import current_contract
from loan_scoring_web.rights import may_promote

ANSWER = re.compile(
    r"/api/v2/dags/(?P<portfolio>[^/]+)_(?P<stage>train|shadow)/dagRuns/(?P<run>[^/]+)/taskInstances/ask/[^/]+"
    r"/hitlDetails/?$"
)


async def refuse_answer(scope: Any) -> JSONResponse | None:
    """Return the response that refuses an answer, or None if Airflow may take it.

    Args:
        scope: ASGI scope of a PATCH request.
    """
    found = ANSWER.search(scope["path"])
    if found is None or found["portfolio"] not in contract.names():
        return None
    request = Request(scope)
    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException as error:
        return JSONResponse({"detail": error.detail}, error.status_code)
    reason = await run_in_threadpool(
        why_not, user, found["portfolio"], found["stage"], found["run"]
    )
    return None if reason is None else JSONResponse({"detail": reason}, 403)


def why_not(user: BaseUser, portfolio: str, stage: str, run_id: str) -> str | None:
    """Return why the user may not answer whether to promote, or None if the user may.

    Args:
        user: user of Airflow.
        portfolio: name of the portfolio.
        stage: `train` or `shadow`, whose DAG asks.
        run_id: run of this DAG.
    """
    roles = current_contract(portfolio).promotion.roles
    if not may_promote(user, roles):
        return f"a promotion needs one of these roles of Airflow: {', '.join(['Admin', *roles])}"
    with create_session() as session:
        trigger = session.scalar(
            select(DagRun.triggering_user_name).where(
                DagRun.dag_id == f"{portfolio}_{stage}", DagRun.run_id == run_id
            )
        )
    if trigger is not None and trigger == user.get_name():
        return f"{trigger} started this run, so another person must answer"
    return None
