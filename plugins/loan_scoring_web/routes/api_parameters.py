"""Shared parts of the API routes: validated parameters, error responses and queries."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring_web.limits import MOST_BYTES
from loan_scoring_web.routes import api_shapes as shapes

REFUSALS = {
    400: "The body cannot be decoded, for example because it is not valid UTF-8",
    401: "The request has no valid login",
    403: "The user's role does not allow this request, or a POST with a login cookie did not come"
    " from a page of this Airflow",
    404: "The portfolio, model version, scoring run, batch, loan or alert does not exist, or the"
    " batch is not scored",
    409: "The current state does not allow this request: for example, there is no champion, or the"
    " alert is already resolved",
    413: f"The body is longer than {MOST_BYTES} bytes",
    422: "A field is invalid, or the body is not valid JSON. Each validation error says where",
    503: "The portfolio database is not available, or the server is busy scoring another request."
    " Try again later",
}
"""Description of each error status in the OpenAPI document."""


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses that the OpenAPI document lists for a route, by status code.

    The statuses 401, 403, 404, 422 and 503 are always included. `codes` adds more statuses.
    """
    shape = {422: shapes.Refusals}
    return {
        code: {"model": shape.get(code, shapes.Refusal), "description": REFUSALS[code]}
        for code in sorted({401, 403, 404, 422, 503, *codes})
    }


def in_utc(moment: datetime) -> datetime:
    """Convert a time to UTC. A time without a time zone is taken as UTC.

    Postgres rejects some time zones that Python accepts.

    Raises:
        ValueError: after conversion to UTC the time is outside the years 1 to 9999.
    """
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("is no time from the year 1 to 9999 in UTC") from None


BATCH = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
LOAN = r"^[^\x00-\x1f\x7f]{1,100}$"
RUN = r"^[a-z0-9-]{1,100}$"
Moment = Annotated[datetime, AfterValidator(in_utc)]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Maximum number of rows on the page")]
BatchId = Annotated[str | None, Query(alias="batch", pattern=BATCH)]
Version = Annotated[str, Path(pattern=shapes.VERSION)]
OfModel = Annotated[str | None, Query(alias="model", pattern=shapes.VERSION)]
Since = Annotated[
    Moment | None, Query(description="Earliest time, inclusive. Without a time zone it is UTC")
]
Until = Annotated[
    Moment | None, Query(description="Latest time, exclusive. Without a time zone it is UTC")
]


def select_rows(session: Session, name: str, **values: Any) -> list[database.Row]:
    """Run a named query in a new transaction and return its rows."""
    with database.transaction(session.connection):
        return database.rows(session.connection, name, **values)
