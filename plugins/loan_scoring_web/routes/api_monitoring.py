"""API routes for monitoring: batches, drift tests and alerts."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError
from loan_scoring.monitoring.alerts.handling import ACKNOWLEDGE, handle_alert
from loan_scoring_web.databases import Operating, Reading
from loan_scoring_web.limits import LimitedRoute
from loan_scoring_web.rights import CurrentUser, by
from loan_scoring_web.routes import api_monitoring_shapes
from loan_scoring_web.routes.api_parameters import BATCH, refusals, select_rows

router = APIRouter(route_class=LimitedRoute)


@router.get("/{portfolio}/batches", responses=refusals())
def list_batches(
    session: Reading,
    before: Annotated[str | None, Query(pattern=r"^(history|[0-9]{4}-[0-9]{2}-[0-9]{2})$")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> api_monitoring_shapes.Batches:
    """List batches, the latest first, with row counts, drift findings and open alerts."""
    rows = select_rows(session, "select_batches_before", before=before, limit=limit)
    follows = rows[-1]["batch_id"] if len(rows) == limit else None
    return api_monitoring_shapes.Batches.model_validate({"batches": rows, "next": follows})


@router.get("/{portfolio}/batches/{batch_id}/drift", responses=refusals())
def read_drift(
    session: Reading,
    batch_id: Annotated[str, Path(pattern=BATCH)],
    level: Annotated[Literal["stable", "attention", "drifted"] | None, Query()] = None,
) -> api_monitoring_shapes.Drift:
    """Return the drift tests of the current scoring run of a batch.

    If `level` is given, only the tests with this level are returned.
    """
    run = database.row(session.connection, "select_current_run", batch_id=batch_id)
    if run is None:
        raise MissingError(f"batch {batch_id} is not scored in {session.contract.portfolio}")
    tests = select_rows(
        session, "select_drift_tests", scoring_run_id=run["scoring_run_id"], level=level
    )
    return api_monitoring_shapes.Drift.model_validate({**run, "tests": tests})


@router.get("/{portfolio}/alerts", responses=refusals())
def list_alerts(
    session: Reading,
    state: Annotated[Literal["open", "acknowledged", "resolved"] | None, Query()] = None,
    before: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only alerts with a smaller alert_id")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> api_monitoring_shapes.Alerts:
    """List alerts, the latest first.

    If `state` is given, only the alerts in this state are returned.
    """
    rows = select_rows(session, "select_alerts_before", state=state, before=before, limit=limit)
    follows = rows[-1]["alert_id"] if len(rows) == limit else None
    return api_monitoring_shapes.Alerts.model_validate({"alerts": rows, "next": follows})


@router.post("/{portfolio}/alerts/{alert_id}/acknowledge", responses=refusals(400, 409, 413))
def acknowledge(
    session: Operating,
    user: CurrentUser,
    alert_id: Annotated[int, Path(ge=1, le=2**63 - 2)],
    body: api_monitoring_shapes.Acknowledgement,
) -> api_monitoring_shapes.Alert:
    """Acknowledge an alert. The user's name and an optional comment are stored with the alert."""
    _alert(session, alert_id)  # responds 404 if the alert does not exist
    handle_alert(session, alert_id, ACKNOWLEDGE, by(user), body.comment)
    return api_monitoring_shapes.Alert.model_validate(_alert(session, alert_id))


def _alert(session: Session, alert_id: int) -> database.Row:
    for row in select_rows(
        session, "select_alerts_before", state=None, before=alert_id + 1, limit=1
    ):
        if row["alert_id"] == alert_id:
            return row
    raise MissingError(f"there is no alert {alert_id} in {session.contract.portfolio}")
