"""The web app that Airflow mounts. Every route needs an Airflow login, except static files."""

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

STATUS_BY_ERROR: dict[type[LoanScoringError], int] = {
    DatabaseError: 503,
    BusyError: 503,
    MissingError: 404,
    StateError: 409,
    InputError: 422,
}

# Airflow mounts a plugin's app without a login check, so `get_user` checks the login here.
# FastAPI's built-in documentation pages ignore dependencies and would need no login, so they are
# off. routes/api.py serves the OpenAPI document instead.
# Slash redirects are off because FastAPI would send them before it checks the login.
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
async def add_headers(request: Request, call_next: Any) -> Response:
    """Add the security headers to every response that does not set them already."""
    response: Response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def is_for_api(request: Request) -> bool:
    """Return whether the request is for the API. API errors are JSON, page errors are HTML."""
    return request.url.path.removeprefix(request.scope.get("root_path", "")).startswith("/api/")


async def refuse(request: Request, status: int, reason: str) -> Response:
    """Return an error response with the reason: JSON for the API, otherwise an HTML page."""
    if is_for_api(request):
        return JSONResponse({"detail": reason}, status)
    title = HTTPStatus(status).phrase
    # Rendering a page queries Airflow's database for the user's rights. In a thread pool these
    # queries do not block the event loop.
    return await run_in_threadpool(
        page, request, "refusal.html", status, title=title, reason=reason, active=None
    )


@app.exception_handler(StarletteHTTPException)
async def on_http_error(request: Request, error: StarletteHTTPException) -> Response:
    """Return the response to an HTTP error.

    Without a login, 404 and 405 become 401, so that a stranger cannot find out which paths exist.
    """
    if error.status_code in (404, 405):
        try:
            await get_user(request, None, await bearer_scheme(request))
        except HTTPException as unauthorized:
            error = unauthorized
    if is_for_api(request):
        return await http_exception_handler(request, error)
    return await refuse(request, error.status_code, str(error.detail))


@app.exception_handler(RequestValidationError)
async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    """Return a 422 response that names each invalid field and the reason."""
    if is_for_api(request):
        # The input value is left out because a lone surrogate in a string cannot be encoded.
        faults = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
        body = json.dumps({"detail": faults}, default=str)
        return Response(body, 422, media_type="application/json")
    reason = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
    return await refuse(request, 422, reason)


@app.exception_handler(LoanScoringError)
async def on_own_error(request: Request, error: LoanScoringError) -> Response:
    """Return the message of a loan-scoring error with the HTTP status of the error class.

    For the API, an InputError becomes a list with one entry per invalid field.
    """
    if isinstance(error, InputError) and is_for_api(request):
        faults = [
            {"loc": ["body", "applications", each.row, each.field], "msg": each.message,
             "type": each.rule}
            for each in error.faults
        ]  # fmt: skip
        return JSONResponse({"detail": faults}, 422)
    status = next((code for kind, code in STATUS_BY_ERROR.items() if isinstance(error, kind)), 500)
    return await refuse(request, status, str(error))
