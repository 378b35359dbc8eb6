"""Define the routes of the drift pages: the map, one column, two batches, segments."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from loan_scoring_web.databases import Reading
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.pages.drift import read_drift_page
from loan_scoring_web.pages.drift_column import read_column_page
from loan_scoring_web.pages.drift_segments import read_segments_page
from loan_scoring_web.pages.drift_two import read_two_page
from loan_scoring_web.rendering import page
from loan_scoring_web.story_forms import ColumnQuery, DriftQuery, SegmentsQuery, TwoQuery

router = APIRouter(prefix="/p/{portfolio}/drift", include_in_schema=False, route_class=LimitedRoute)


@router.get("")
def drift_page(
    request: Request, session: Reading, query: Annotated[DriftQuery, Query()]
) -> Response:
    """Show the drift of each column by night, and performance over time."""
    found = read_drift_page(
        session, query.nights, query.since, query.until, shows_stable=query.stable == "yes"
    )
    return page(request, "drift.html", active="drift", **found)


@router.get("/column")
def column_page(
    request: Request, session: Reading, query: Annotated[ColumnQuery, Query()]
) -> Response:
    """Show one compared column over nights: its PSI, its tests and its distributions."""
    found = read_column_page(
        session, query.kind, query.feature, query.nights, query.since, query.until
    )
    return page(request, "drift_column.html", active="drift", **found)


@router.get("/two")
def two_page(request: Request, session: Reading, query: Annotated[TwoQuery, Query()]) -> Response:
    """Show two batches side by side."""
    found = read_two_page(session, query.left, query.right)
    return page(request, "drift_two.html", active="drift", **found)


@router.get("/segments")
def segments_page(
    request: Request, session: Reading, query: Annotated[SegmentsQuery, Query()]
) -> Response:
    """Show the segments by persona or by a column over nights."""
    found = read_segments_page(session, query.by, query.nights, query.since, query.until)
    return page(request, "drift_segments.html", active="drift", **found)
