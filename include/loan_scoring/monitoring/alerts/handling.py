"""What a person does about an alert: acknowledge, snooze, resolve; it is noted who did it."""

from datetime import UTC, date, datetime, timedelta

from loan_scoring import database
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError

ACKNOWLEDGE, SNOOZE, RESOLVE = "acknowledge", "snooze", "resolve"
ACTIONS = (ACKNOWLEDGE, SNOOZE, RESOLVE)
LONGEST_SNOOZE = timedelta(days=90)


def handle_alert(
    session: Session,
    alert_id: int,
    action: str,
    by: str,
    comment: str | None = None,
    until: date | None = None,
) -> None:
    """Do one of ACTIONS to an alert that is not resolved, in one transaction.

    A snoozed alert keeps its state and is shown apart until that day, or until it turns critical.
    A resolved one stays so: the next batch that shows its cause opens another.

    Args:
        by: who does it, such as airflow:ann.
        comment: why; a resolution needs one.
        until: the first day on which a snoozed alert is shown again.

    Raises:
        StateError: no such alert or action, the alert is resolved, or comment or day are wanting.
    """
    said = (comment or "").strip() or None
    if action not in ACTIONS:
        raise StateError(f"'{action}' cannot be done to an alert: {', '.join(ACTIONS)} can")
    if action == RESOLVE and said is None:
        raise StateError("a resolution needs a comment: say what was found")
    if action == SNOOZE:
        _refuse_day(until)
    with database.transaction(session.connection):
        # The lock of alerts.update, which reads all of them before it writes.
        database.lock(session.connection, "alerts")
        known = database.row(session.connection, "select_alert", alert_id=alert_id)
        if known is None:
            raise StateError(f"there is no alert {alert_id} in {session.contract.portfolio}")
        if known["state"] == "resolved":
            raise StateError(f"alert {alert_id} is resolved already")
        states = {ACKNOWLEDGE: "acknowledged", SNOOZE: known["state"], RESOLVE: "resolved"}
        database.execute(
            session.connection,
            "update_alert",
            alert_id=alert_id,
            state=states[action],
            changed_by=by,
            comment=said,
            snoozed_until=until if action == SNOOZE else None,
        )
        told = {"comment": said, "before": known["state"]}
        told |= {"until": until} if action == SNOOZE else {}
        audit.record_entry(session, by, f"alert.{action}", f"alert {alert_id}", told)


def _refuse_day(until: date | None) -> None:
    today = datetime.now(UTC).date()
    if until is None or not today < until <= today + LONGEST_SNOOZE:
        raise StateError(
            f"an alert is snoozed until a day from {today + timedelta(days=1)} to "
            f"{today + LONGEST_SNOOZE}; {until or 'none'} was given"
        )
