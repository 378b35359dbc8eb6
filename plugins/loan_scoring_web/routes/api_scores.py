"""API routes for scores: scoring on demand, scores of scoring runs, and recorded calls."""

import csv
import io
import re
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from loan_scoring.desk import extracts
from loan_scoring.desk.extracts import list_scoring_runs
from loan_scoring.ingest.spreadsheet import spreadsheet_text
from loan_scoring.scoring.request import score_and_record
from loan_scoring_web.databases import Operating, Reading
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.rights import CurrentUser, by, may_operate
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
"""Format of the parameter `after` of `list_calls`: `called_at/call_id`.

Both values are those of the last call on the previous page.
"""


@router.post("/{portfolio}/score", responses=refusals(400, 409, 413))
def score(session: Operating, user: CurrentUser, asked: shapes.ScoreRequest) -> shapes.Scored:
    """Score applications on demand, with the champions or with a model version.

    The row rules, models and arithmetic are the same as for a batch. The applications and their
    scores are stored in table `calls`. Table `scores` does not change.
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
    """List published scoring runs in the order of their batches.

    `since` and `until` filter by the time of publication.
    """
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
    after: Annotated[
        str | None, Query(pattern=LOAN, description="Only scores with a greater loan_id")
    ] = None,
    limit: Limit = 1000,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Any:
    """Return the scores of a published scoring run, sorted by loan_id, as JSON or CSV.

    CSV starts with a row of column names. For CSV, the response header `X-Next` is the value to
    pass as `after` for the next page. It is already percent-encoded.
    Without `X-Next` there is no next page.
    """
    rows = extracts.list_scores(session, scoring_run_id, after, limit)
    follows = rows[-1]["loan_id"] if len(rows) == limit else None
    if form == "json":
        return {"scores": rows, "next": follows}
    text = io.StringIO()
    names = list(shapes.ScoreRow.model_fields)
    csv.writer(text, lineterminator="\n").writerows(
        [names, *([_cell(row[name]) for name in names] for row in rows)]
    )
    headers = {} if follows is None else {"X-Next": quote(str(follows))}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def _cell(value: Any) -> Any:
    return spreadsheet_text(value) if isinstance(value, str) else value


@router.get("/{portfolio}/calls", responses=refusals())
def list_calls(
    request: Request,
    session: Reading,
    user: CurrentUser,
    since: Since = None,
    until: Until = None,
    model: OfModel = None,
    after: Annotated[
        str | None, Query(max_length=100, description="Value of `next` on the previous page")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> shapes.Calls:
    """List calls, the oldest first. A call is one scoring on demand, with its input and output.

    `since` and `until` filter by the time of the call. A page has at most 100 calls, because one
    call may contain 1,000 applications. A Viewer sees the inputs of the own calls only; those of
    other calls are empty.
    """
    rows = extracts.list_calls(
        session, since=since, until=until, model_version=model, after=_place(after), limit=limit
    )
    sees_all = may_operate(request, session.contract.portfolio, user)
    for row in rows:
        row["call_id"] = str(row["call_id"])
        if not sees_all and row["called_by"] != by(user):
            row["input"] = []
    last = rows[-1] if len(rows) == limit else None
    follows = last and f"{last['called_at'].isoformat()}/{last['call_id']}"
    return shapes.Calls.model_validate({"calls": rows, "next": follows})


def _place(after: str | None) -> tuple[datetime, str] | None:
    if after is None:
        return None
    # If a client does not encode + as %2B, the + arrives as a space. Turn spaces back into +.
    found = CALL.fullmatch(after.replace(" ", "+"))
    try:
        if found:
            return in_utc(datetime.fromisoformat(found[1])), str(uuid.UUID(found[2]))
    except ValueError:
        pass
    message = "this is not the `next` of an earlier page"
    fault = {"loc": ["query", "after"], "msg": message, "type": "value_error"}
    raise HTTPException(422, [fault])
