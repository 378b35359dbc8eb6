"""Define the routes of the quality pages: the expectations of a batch, and one over nights."""

import re
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from loan_scoring import settings
from loan_scoring_web.databases import Reading
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.quality import read_quality_page, read_trend_page
from loan_scoring_web.rendering import page
from loan_scoring_web.routes.files import BATCH_ID
from loan_scoring_web.story_forms import ExpectationQuery, QualityQuery

router = APIRouter(
    prefix="/p/{portfolio}/quality", include_in_schema=False, route_class=LimitedRoute
)


@router.get("")
def trend(
    request: Request, session: Reading, query: Annotated[ExpectationQuery, Query()]
) -> Response:
    """Show one expectation over nights."""
    found = read_trend_page(session, query.expectation, query.nights, query.since, query.until)
    return page(request, "quality_trend.html", active="batches", **found)


@router.get("/{batch_id}")
def quality_page(
    request: Request, session: Reading, batch_id: str, query: Annotated[QualityQuery, Query()]
) -> Response:
    """Show the expectations of a batch revision, and its rows in quarantine."""
    if not re.fullmatch(BATCH_ID, batch_id):
        raise HTTPException(404, f"there is no batch {batch_id[:40]}")
    found = read_quality_page(session, batch_id, query.revision, query.state, query.rule or None)
    file = settings.quality_page_path(
        session.contract.portfolio, batch_id, found["batch"]["revision"]
    )
    return page(request, "quality.html", active="batches", has_file=file.is_file(), **found)
