"""Routes of the API for scores: scoring on demand, extracts of scoring runs, recorded calls."""

import csv
import io
import re
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Path, Query, Response

from loan_scoring.desk import extracts
from loan_scoring.desk.extracts import list_scoring_runs
from loan_scoring.scoring.request import score_and_record
from loan_scoring_web.databases import Operating, Reading
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.rights import CurrentUser, by
from loan_scoring_web.routes import api_shapes as shapes
from loan_scoring_web.routes.api_parameters import (
    LOAN,
    RUN,
    BatchId,
    Limit,
    OfModel,
    Since,
    Until,
    in_utc,
    refusals,
)

router = APIRouter(route_class=LimitedRoute)

CALL = re.compile(r"(\S{1,40})/(\S{36})")
"""Parameter `after` of the list of calls: time and call_id of the last row of a page."""


@router.post("/{portfolio}/score", responses=refusals(400, 409, 413))
def score(session: Operating, user: CurrentUser, asked: shapes.ScoreRequest) -> shapes.Scored:
    """Score some applications now, by a named model; input and output go on record in `calls`.

    The same parsing, rules and arithmetic as a night's; nothing is stored as a score.
    """
    found = score_and_record(session, asked.applications, asked.model, by(user))
    return shapes.Scored.model_validate(found, from_attributes=True)


@router.get("/{portfolio}/executions", responses=refusals())
def list_executions(
    session: Reading,
    since: Since = None,
    until: Until = None,
    batch: BatchId = None,
    model: OfModel = None,
    after: Annotated[str | None, Query(pattern=RUN)] = None,
    limit: Limit = 100,
) -> shapes.Executions:
    """List published scoring runs by time, batch and model, in the order of their batches."""
    rows = list_scoring_runs(
        session, since=since, until=until, batch_id=batch, model_version=model, after=after,
        limit=limit,
    )  # fmt: skip
    follows = rows[-1]["scoring_run_id"] if len(rows) == limit else None
    return shapes.Executions.model_validate({"executions": rows, "next": follows})


@router.get(
    "/{portfolio}/executions/{scoring_run_id}/scores",
    response_model=shapes.ScoreRows,
    responses=refusals() | {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def list_scores(
    session: Reading,
    scoring_run_id: Annotated[str, Path(pattern=RUN)],
    after: Annotated[str | None, Query(pattern=LOAN, description="A loan_id")] = None,
    limit: Limit = 1000,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Any:
    """Extract the scores of a run in the order of loan_id, as JSON or CSV.

    CSV has a header; `X-Next` of the answer's header names the page that
    follows, ready to be put behind `after=`.
    """
    rows = extracts.list_scores(session, scoring_run_id, after, limit)
    follows = rows[-1]["loan_id"] if len(rows) == limit else None
    if form == "json":
        return {"scores": rows, "next": follows}
    text = io.StringIO()
    names = list(shapes.ScoreRow.model_fields)
    csv.writer(text, lineterminator="\n").writerows(
        [names, *([row[name] for name in names] for row in rows)]
    )
    headers = {} if follows is None else {"X-Next": quote(str(follows))}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


@router.get("/{portfolio}/calls", responses=refusals())
def list_calls(
    session: Reading,
    since: Since = None,
    until: Until = None,
    model: OfModel = None,
    after: Annotated[str | None, Query(max_length=100, description="`next` of a page")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> shapes.Calls:
    """List scorings that were asked for outside the nights, with input and output.

    At most 100 a page: each may hold a thousand applications.
    """
    rows = extracts.list_calls(
        session, since=since, until=until, model_version=model, after=_place(after), limit=limit
    )
    for row in rows:
        row["call_id"] = str(row["call_id"])
    last = rows[-1] if len(rows) == limit else None
    follows = last and f"{last['called_at'].isoformat()}/{last['call_id']}"
    return shapes.Calls.model_validate({"calls": rows, "next": follows})


def _place(after: str | None) -> tuple[datetime, str] | None:
    if after is None:
        return None
    # A client that does not escape + as %2B sends a space, so turn spaces back into +.
    found = CALL.fullmatch(after.replace(" ", "+"))
    try:
        if found:
            return in_utc(datetime.fromisoformat(found[1])), str(uuid.UUID(found[2]))
    except ValueError:
        pass
    message = "this is not the `next` of an earlier page"
    fault = {"loc": ["query", "after"], "msg": message, "type": "value_error"}
    raise HTTPException(422, [fault])
