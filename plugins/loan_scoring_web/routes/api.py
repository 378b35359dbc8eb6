"""The model manager: scores on demand, extracts, batches, drift, alerts, models."""

import csv
import io
import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import AfterValidator

from loan_scoring import __version__, contract, database
from loan_scoring.database.session import Session
from loan_scoring.desk import extracts
from loan_scoring.desk.extracts import list_scoring_runs
from loan_scoring.errors import MissingError
from loan_scoring.models import registry
from loan_scoring.monitoring.alerts.handling import ACKNOWLEDGE, handle_alert
from loan_scoring.scoring.fields import example_application
from loan_scoring.scoring.request import score_and_record
from loan_scoring_web.databases import Operating, Reading
from loan_scoring_web.limits import MOST_BYTES, LimitedRoute
from loan_scoring_web.rights import CurrentUser, by
from loan_scoring_web.routes import api_shapes as shapes

PREFIX = "/api/v1"
TOLD = {
    400: "The body is no JSON",
    401: "Nobody is logged in",
    403: "The user's role may not do this",
    404: "There is no such portfolio, model, run, batch or alert",
    409: "Not possible as things stand, such as no model in use",
    413: f"The body is longer than {MOST_BYTES} bytes",
    422: "A field is wrong; each fault names its field",
    503: "The portfolio database does not answer, or other applications are being scored",
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of what a route may refuse."""
    shape = {422: shapes.Refusals}
    return {
        code: {"model": shape.get(code, shapes.Refusal), "description": TOLD[code]}
        for code in sorted({401, 403, 404, 422, 503, *codes})
    }


def _in_utc(moment: datetime) -> datetime:
    """Return a time in UTC: Postgres reads fewer zones than Python does."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("is no time from the year 1 to 9999 in UTC") from None


BATCH = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
CALL = re.compile(r"(\S{1,40})/(\S{36})")
LOAN = r"^[^\x00-\x1f\x7f]{1,100}$"
Moment = Annotated[datetime, AfterValidator(_in_utc)]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Rows of a page")]
BatchId = Annotated[str | None, Query(alias="batch", pattern=BATCH)]
Version = Annotated[str, Path(pattern=shapes.VERSION)]
OfModel = Annotated[str | None, Query(alias="model", pattern=shapes.VERSION)]
Since = Annotated[Moment | None, Query(description="From then on; UTC where it names no zone")]
Until = Annotated[Moment | None, Query(description="Before then")]

router = APIRouter(prefix=PREFIX, route_class=LimitedRoute)


@router.get("/openapi.json", include_in_schema=False)
def document(request: Request) -> dict[str, Any]:
    """Describe the API in OpenAPI."""
    found = get_openapi(
        title="loan-scoring",
        version=__version__,
        description="Scores on demand, extracts and monitoring of loan-scoring. Log in at Airflow:"
        " POST /auth/token gives a bearer token. Viewer reads; User and Op score and acknowledge.",
        routes=router.routes,
        servers=[{"url": request.scope.get("root_path", "") or "/"}],
    )
    found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    first = contract.load(contract.names()[0])
    for methods in found["paths"].values():
        for operation in methods.values():
            operation["parameters"][0]["schema"]["example"] = first.portfolio
    score = found["paths"][f"{PREFIX}/{{portfolio}}/score"]["post"]
    body = score["requestBody"]["content"]["application/json"]
    body["example"] = {
        "model": "champion",
        "applications": [example_application(first)],
    }
    return found


@router.post("/{portfolio}/score", responses=refusals(400, 409, 413))
def score(session: Operating, user: CurrentUser, wanted: shapes.ScoreRequest) -> shapes.Scored:
    """Score some applications now, by a named model; input and output go on record in `calls`.

    The same parsing, rules and arithmetic as a night's; nothing is stored as a score.
    """
    found = score_and_record(session, wanted.applications, wanted.model, by(user))
    return shapes.Scored.model_validate(found, from_attributes=True)


@router.get("/{portfolio}/executions", responses=refusals())
def list_executions(
    session: Reading,
    since: Since = None,
    until: Until = None,
    batch: BatchId = None,
    model: OfModel = None,
    after: Annotated[str | None, Query(pattern=r"^[a-z0-9-]{1,100}$")] = None,
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
    scoring_run_id: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,100}$")],
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
        session, since=since, until=until, model_version=model, after=_call(after), limit=limit
    )
    for row in rows:
        row["call_id"] = str(row["call_id"])
    last = rows[-1] if len(rows) == limit else None
    follows = last and f"{last['called_at'].isoformat()}/{last['call_id']}"
    return shapes.Calls.model_validate({"calls": rows, "next": follows})


def _call(after: str | None) -> tuple[datetime, str] | None:
    if after is None:
        return None
    # A + that was not written as %2B comes in as a space.
    found = CALL.fullmatch(after.replace(" ", "+"))
    try:
        if found:
            return _in_utc(datetime.fromisoformat(found[1])), str(uuid.UUID(found[2]))
    except ValueError:
        pass
    message = "is no `next` of a page before"
    fault = {"loc": ["query", "after"], "msg": message, "type": "value_error"}
    raise HTTPException(422, [fault])


@router.get("/{portfolio}/batches", responses=refusals())
def list_batches(
    session: Reading,
    before: Annotated[str | None, Query(pattern=r"^(history|[0-9]{4}-[0-9]{2}-[0-9]{2})$")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> shapes.Batches:
    """List batches, the latest first: what came in, was scored, drifted."""
    rows = _rows(session, "select_batches_before", before=before, limit=limit)
    follows = rows[-1]["batch_id"] if len(rows) == limit else None
    return shapes.Batches.model_validate({"batches": rows, "next": follows})


@router.get("/{portfolio}/batches/{batch_id}/drift", responses=refusals())
def read_drift(
    session: Reading,
    batch_id: Annotated[str, Path(pattern=BATCH)],
    level: Annotated[Literal["stable", "attention", "drifted"] | None, Query()] = None,
) -> shapes.Drift:
    """Return every drift test on a batch, of a level where one is named."""
    run = database.row(session.connection, "select_current_run", batch_id=batch_id)
    if run is None:
        raise MissingError(f"batch {batch_id} is not scored in {session.contract.portfolio}")
    tests = _rows(session, "select_drift_tests", scoring_run_id=run["scoring_run_id"], level=level)
    return shapes.Drift.model_validate({**run, "tests": tests})


@router.get("/{portfolio}/alerts", responses=refusals())
def list_alerts(
    session: Reading,
    state: Annotated[Literal["open", "acknowledged", "resolved"] | None, Query()] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="An alert_id")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> shapes.Alerts:
    """List alerts, the latest first."""
    rows = _rows(session, "select_alerts_before", state=state, before=before, limit=limit)
    follows = rows[-1]["alert_id"] if len(rows) == limit else None
    return shapes.Alerts.model_validate({"alerts": rows, "next": follows})


@router.post("/{portfolio}/alerts/{alert_id}/acknowledge", responses=refusals(400, 409, 413))
def acknowledge(
    session: Operating,
    user: CurrentUser,
    alert_id: Annotated[int, Path(ge=1, le=2**63 - 2)],
    told: shapes.Acknowledgement,
) -> shapes.Alert:
    """Acknowledge an alert under the user's name, with a comment where there is one to make."""
    row = _alert(session, alert_id)
    handle_alert(session, alert_id, ACKNOWLEDGE, by(user), told.comment)
    row = _alert(session, alert_id)
    return shapes.Alert.model_validate(row)


def _alert(session: Session, alert_id: int) -> database.Row:
    for row in _rows(session, "select_alerts_before", state=None, before=alert_id + 1, limit=1):
        if row["alert_id"] == alert_id:
            return row
    raise MissingError(f"there is no alert {alert_id} in {session.contract.portfolio}")


@router.get("/{portfolio}/models", responses=refusals())
def list_models(session: Reading) -> shapes.Models:
    """List every model version with its last verdict."""
    return shapes.Models.model_validate({"models": _rows(session, "select_models")})


@router.get("/{portfolio}/models/{model_version}", responses=refusals())
def read_model(session: Reading, model_version: Version) -> shapes.Model:
    """Return a model version: what it reads, how it was measured, every verdict on it."""
    row = registry.model_row(session, model_version)
    pair = registry.fitted_pair(session, model_version)
    read = [session.contract.by_name.get(name) for name in row["features"]]
    inputs = [
        {
            **{name: getattr(column, name) for name in ("name", "label", "type", "unit", "levels")},
            "is_open": column.open_levels,
            "low": column.range[0] if column.range else None,
            "high": column.range[1] if column.range else None,
        }
        for column in read
        if column is not None
    ]
    verdicts = _rows(session, "select_verdicts", model_version=model_version)
    fitted_with = next((each for each in pair.values() if each != model_version), model_version)
    return shapes.Model.model_validate(
        {**row, "fitted_with": fitted_with, "inputs": inputs, "verdicts": verdicts}
    )


@router.get(
    "/{portfolio}/models/{model_version}/card",
    response_class=Response,
    responses=refusals()
    | {200: {"content": {"text/markdown": {"schema": {"type": "string"}}}, "description": "Card"}},
)
def read_card(session: Reading, model_version: Version) -> Response:
    """Return the model card of the pair that a version was fitted in, as Markdown."""
    from loan_scoring.models.card import content
    from loan_scoring.models.card.render import (
        render_card_markdown,  # draws: imported where it is asked for
    )

    text = render_card_markdown(content.read_card(session, model_version))
    return Response(text, media_type="text/markdown")


def _rows(session: Reading, name: str, **values: Any) -> list[database.Row]:
    with database.transaction(session.connection):
        return database.rows(session.connection, name, **values)
