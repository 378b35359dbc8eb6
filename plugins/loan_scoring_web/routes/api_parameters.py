"""Helpers of the API routes: validated parameters, documented error responses, queries."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring_web.limits import MOST_BYTES
from loan_scoring_web.routes import api_shapes as shapes

REFUSALS = {
    400: "The body is no JSON",
    401: "Nobody is logged in",
    403: "The user's role may not do this",
    404: "There is no such portfolio, model, run, batch or alert",
    409: "Not possible as things stand, such as no model in use",
    413: f"The body is longer than {MOST_BYTES} bytes",
    422: "A field is wrong; each fault names its field",
    503: "The portfolio database does not answer, or other applications are being scored",
}
"""Description of each error status in the OpenAPI document."""


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route for its OpenAPI document, by status.

    401, 403, 404, 422 and 503 are always included. `codes` adds further statuses.
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
        ValueError: in UTC the time is outside the years 1 to 9999.
    """
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("is no time from the year 1 to 9999 in UTC") from None


BATCH = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
LOAN = r"^[^\x00-\x1f\x7f]{1,100}$"
RUN = r"^[a-z0-9-]{1,100}$"
Moment = Annotated[datetime, AfterValidator(in_utc)]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Rows of a page")]
BatchId = Annotated[str | None, Query(alias="batch", pattern=BATCH)]
Version = Annotated[str, Path(pattern=shapes.VERSION)]
OfModel = Annotated[str | None, Query(alias="model", pattern=shapes.VERSION)]
Since = Annotated[Moment | None, Query(description="From then on; UTC where it names no zone")]
Until = Annotated[Moment | None, Query(description="Before then")]


def select_rows(session: Session, name: str, **values: Any) -> list[database.Row]:
    """Run a named query in a new transaction and return its rows."""
    with database.transaction(session.connection):
        return database.rows(session.connection, name, **values)
