"""The app that Airflow mounts: every route behind Airflow's login, static files apart."""

import json
from http import HTTPStatus
from typing import Any

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from loan_scoring.errors import (
    BusyError,
    DatabaseError,
    InputError,
    LoanScoringError,
    MissingError,
    StateError,
)
from loan_scoring_web.rendering import HEADERS, page
from loan_scoring_web.routes import api, desk, files, models, pages
from loan_scoring_web.routes.static import Static

# Airflow mounts a plugin's app without any check of its own, and FastAPI's pages of documentation
# heed no dependency: the API brings its own.
# A slash too few or too many is no page: what would lead on from it asks nobody who the user is.
app = FastAPI(
    title="loan-scoring",
    dependencies=[Depends(get_user)],
    openapi_url=None,
    docs_url=None,
    redirect_slashes=False,
)
for module in (pages, files, models, desk, api):
    app.include_router(module.router)
app.mount("/static", Static(), name="static")


@app.middleware("http")
async def guard(request: Request, call_next: Any) -> Response:
    """Give every answer the headers of a page."""
    response: Response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def is_of_api(request: Request) -> bool:
    """Return whether the request is to the API, which answers in JSON."""
    return request.url.path.removeprefix(request.scope.get("root_path", "")).startswith("/api/")


async def plainly(request: Request, status: int, told: str) -> Response:
    """Say what is wrong: as a page, or as JSON to the API."""
    if is_of_api(request):
        return JSONResponse({"detail": told}, status)
    title = HTTPStatus(status).phrase
    # A page asks Airflow's database what its user may see: not in the loop that serves everyone.
    return await run_in_threadpool(
        page, request, "refusal.html", status, title=title, told=told, active=None
    )


@app.exception_handler(StarletteHTTPException)
async def refused(request: Request, error: StarletteHTTPException) -> Response:
    """Tell who is not logged in that, and nothing else: not even what there is."""
    if error.status_code in (404, 405):
        try:
            await get_user(request, None, await bearer_scheme(request))
        except HTTPException as anonymous:
            error = anonymous
    if is_of_api(request):
        return await http_exception_handler(request, error)
    return await plainly(request, error.status_code, str(error.detail))


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> Response:
    """Name the fields that are wrong."""
    if is_of_api(request):
        # Without the input: half of a surrogate pair is no text that an answer could repeat.
        told = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
        body = json.dumps({"detail": told}, default=str)
        return Response(body, 422, media_type="application/json")
    said = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
    return await plainly(request, 422, said)


@app.exception_handler(LoanScoringError)
async def failed(request: Request, error: LoanScoringError) -> Response:
    """Say in one line what is missing: the database, or what a request asks for."""
    if isinstance(error, InputError) and is_of_api(request):
        faults = [
            {"loc": ["body", "applications", each.row, each.field], "msg": each.message,
             "type": each.rule}
            for each in error.faults
        ]  # fmt: skip
        return JSONResponse({"detail": faults}, 422)
    kinds = {
        DatabaseError: 503,
        BusyError: 503,
        MissingError: 404,
        StateError: 409,
        InputError: 422,
    }
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 500)
    return await plainly(request, status, str(error))
