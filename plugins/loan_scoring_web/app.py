"""Build the web app that Airflow mounts. Every route except static files needs an Airflow login."""

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from loan_scoring.errors import (
    BusyError,
    ContractError,
    DatabaseError,
    InputError,
    LoanScoringError,
    MissingError,
    NotSetUpError,
    StateError,
)
from loan_scoring_web.databases import current_contract
from loan_scoring_web.forms import faults_line
from loan_scoring_web.pages.next_steps import next_steps
from loan_scoring_web.problems import MOST_LETTERS, faulty, problem
from loan_scoring_web.rendering import HEADERS, page
from loan_scoring_web.rights import reader
from loan_scoring_web.routes import api, desk, drift, files, models, pages, quality, scans
from loan_scoring_web.routes.static import Static

STATUS_BY_ERROR: dict[type[LoanScoringError], int] = {
    ContractError: 409,
    DatabaseError: 503,
    BusyError: 503,
    MissingError: 404,
    StateError: 409,
    InputError: 422,
}

# Airflow does not check the login for a plugin's app, so `get_user` checks the login here.
# FastAPI's built-in documentation pages are off because FastAPI would serve them without a login.
# routes/api.py serves the OpenAPI document instead.
# Slash redirects are off because FastAPI would send the redirects without checking the login.
app = FastAPI(
    title="loan-scoring",
    dependencies=[Depends(get_user)],
    openapi_url=None,
    docs_url=None,
    redirect_slashes=False,
)
for module in (pages, drift, quality, files, models, desk, scans, api):
    app.include_router(module.router)
app.mount("/static", Static(), name="static")


@app.middleware("http")
async def add_headers(request: Request, call_next: Any) -> Response:
    """Add each of the security headers to a response unless the route has set this header."""
    if b"\x00" in unquote_to_bytes(request.scope.get("raw_path") or request.url.path):
        # No page is rendered, because the login was not checked yet.
        reason = "no such address: it has a NUL character"
        response: Response = (
            problem(404, reason) if is_for_api(request) else PlainTextResponse(reason, 404)
        )
    else:
        response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def is_for_api(request: Request) -> bool:
    """Return whether a request is for the API, so that an error response must be JSON."""
    return request.url.path.removeprefix(request.scope.get("root_path", "")).startswith("/api/")


def _new_portfolio(request: Request) -> Response:
    """Return the page of a portfolio without tables, which says what to do next."""
    loaded = current_contract(request.state.portfolio)
    steps = next_steps(loaded, (False, False, False))
    return page(request, "new.html", active="portfolio", contract=loaded, steps=steps)


async def refuse(request: Request, status: int, reason: str, title: str | None = None) -> Response:
    """Return an error response that contains the reason, as JSON for the API or as an HTML page.

    The page has the title, or else the name of the status.
    """
    if is_for_api(request):
        return problem(status, reason)
    title = title or HTTPStatus(status).phrase
    await _know_reader(request)
    # Rendering a page queries Airflow's database for the user's rights. The page is rendered in a
    # thread because these queries would otherwise block the event loop.
    return await run_in_threadpool(
        page, request, "refusal.html", status, title=title, reason=reason, active=None
    )


async def _know_reader(request: Request) -> None:
    """Find out who reads an error page, and of which portfolio, so that it has its navigation.

    A page that failed before its own check of rights, such as one that does not exist, has neither.
    """
    if getattr(request.state, "reader", None) is not None:
        return
    try:
        user = await get_user(request, None, await bearer_scheme(request))
    except HTTPException:
        return
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    named = re.match(r"/p/([^/]+)", path)
    try:
        if named is None:
            raise HTTPException(404)
        await run_in_threadpool(reader, request, named[1], user)
    except HTTPException:
        request.state.reader = user


@app.exception_handler(StarletteHTTPException)
async def on_http_error(request: Request, error: StarletteHTTPException) -> Response:
    """Return the response to an HTTP error.

    For a user without a login, 404 and 405 become 401. Otherwise a stranger could find out which
    paths exist.
    """
    if error.status_code in (404, 405):
        try:
            await get_user(request, None, await bearer_scheme(request))
        except HTTPException as unauthorized:
            error = unauthorized
    if is_for_api(request):
        return problem(error.status_code, str(error.detail), error.headers)
    return await refuse(request, error.status_code, str(error.detail))


@app.exception_handler(RequestValidationError)
async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    """Return a 422 response that names each invalid field and the reason."""
    if is_for_api(request):
        # The response leaves out the invalid value, which may be long or secret.
        faults = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
        return faulty(faults)
    return await refuse(request, 422, faults_line(error.errors())[:MOST_LETTERS])


@app.exception_handler(LoanScoringError)
async def on_own_error(request: Request, error: LoanScoringError) -> Response:
    """Return an error response with the message of the error and the status of the error class.

    For an InputError, the API returns a list with one entry per invalid field instead.
    """
    if isinstance(error, InputError) and is_for_api(request):
        faults = [
            {"loc": ["body", "applications", each.row, each.field], "msg": each.message,
             "type": each.rule}
            for each in error.faults
        ]  # fmt: skip
        return faulty(faults)
    if isinstance(error, NotSetUpError) and not is_for_api(request):
        return await run_in_threadpool(_new_portfolio, request)
    status = next((code for kind, code in STATUS_BY_ERROR.items() if isinstance(error, kind)), 500)
    title = "The contract cannot be used" if isinstance(error, ContractError) else None
    return await refuse(request, status, str(error), title)
