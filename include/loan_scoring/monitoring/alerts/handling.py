"""Acknowledge, assign, snooze or resolve an alert, and record the person who acted."""

from datetime import UTC, date, datetime, timedelta

from loan_scoring import database
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError

ACKNOWLEDGE, ASSIGN, SNOOZE, RESOLVE = "acknowledge", "assign", "snooze", "resolve"
ACTIONS = (ACKNOWLEDGE, ASSIGN, SNOOZE, RESOLVE)
LONGEST_NAME = 200
LONGEST_SNOOZE = timedelta(days=90)


def handle_alert(
    session: Session,
    alert_id: int,
    action: str,
    by: str,
    comment: str | None = None,
    until: date | None = None,
    assignee: str | None = None,
) -> None:
    """Acknowledge, assign, snooze or resolve an alert, in one transaction.

    A snoozed alert keeps its state. The alert is shown apart from the other alerts until the day
    `until`, or until the alert turns critical. A resolved alert stays resolved. The next batch that
    shows the same cause opens a new alert.

    Args:
        alert_id: id of an alert that is not resolved.
        action: one of ACTIONS.
        by: person who acts, such as `airflow:ann`.
        comment: reason of the action. Required for resolving.
        until: first day on which a snoozed alert is shown again. Required for snoozing.
        assignee: person who is to work on the alert. None means nobody. Only for assigning.

    Raises:
        StateError: the action or the alert does not exist, the alert is already resolved, the
            comment is missing, the day is missing or not allowed, or the name is too long.
    """
    comment = (comment or "").strip() or None
    assignee = (assignee or "").strip() or None
    if action not in ACTIONS:
        raise StateError(f"'{action}' is no action on an alert; use one of {', '.join(ACTIONS)}")
    if action == RESOLVE and comment is None:
        raise StateError("resolving an alert needs a comment: write what was found")
    if action == SNOOZE:
        _refuse_day(until)
    if assignee is not None and len(assignee) > LONGEST_NAME:
        raise StateError(f"the name of a person has at most {LONGEST_NAME} characters")
    with database.transaction(session.connection):
        # `store.update_alerts` takes this lock too. Without the lock, `update_alerts` could read
        # the alert before this action and then overwrite the action.
        database.lock(session.connection, "alerts")
        alert = database.row(session.connection, "select_alert", alert_id=alert_id)
        if alert is None:
            raise StateError(f"there is no alert {alert_id} in {session.contract.portfolio}")
        if alert["state"] == "resolved":
            raise StateError(f"alert {alert_id} is resolved already")
        details = {"comment": comment, "before": alert["state"]}
        if action == ASSIGN:
            database.execute(
                session.connection, "assign_alert", alert_id=alert_id, assignee=assignee
            )
            details = {"comment": comment, "before": alert["assignee"], "assignee": assignee}
            audit.record_entry(session, by, "alert.assign", f"alert {alert_id}", details)
            return
        states = {ACKNOWLEDGE: "acknowledged", SNOOZE: alert["state"], RESOLVE: "resolved"}
        database.execute(
            session.connection,
            "update_alert",
            alert_id=alert_id,
            state=states[action],
            changed_by=by,
            comment=comment,
            snoozed_until=until if action == SNOOZE else None,
        )
        details |= {"until": until} if action == SNOOZE else {}
        audit.record_entry(session, by, f"alert.{action}", f"alert {alert_id}", details)


def _refuse_day(until: date | None) -> None:
    """Raise StateError if a snooze cannot end on the day `until`."""
    today = datetime.now(UTC).date()
    if until is None or not today < until <= today + LONGEST_SNOOZE:
        raise StateError(
            f"an alert can be snoozed until a day from {today + timedelta(days=1)} to "
            f"{today + LONGEST_SNOOZE}; the day given is {until or 'missing'}"
        )
