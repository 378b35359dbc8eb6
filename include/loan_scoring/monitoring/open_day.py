"""Look at the open day of a stream before it ends, so that a shock raises its alert the same day.

Nothing is measured for good: the day is compared like a night when it is sealed. A look has an
alert of its own, kind `open_day`, which ends with the day (docs/adr/0061).
"""

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime

from loan_scoring import database
from loan_scoring.contract.business_dates import local_time
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import BatchCause
from loan_scoring.monitoring.metrics import find_causes

log = logging.getLogger(__name__)

FEWEST = 500
"""Fewest loans of a day that are compared. With fewer, the tests find large shifts only."""


@dataclass(frozen=True)
class OpenDay:
    """What a look at an open day found: its applications so far, and the causes that they show."""

    batch_id: str | None = None
    applications: int = 0
    causes: list[BatchCause] = field(default_factory=list)


def watch_open_day(session: Session, now: datetime | None = None) -> OpenDay:
    """Compare the open day with the baseline of its champion. Open or resolve its alert.

    Args:
        session: database session.
        now: time by which the business date is judged. None means the clock.
    """
    connection = session.connection
    today = str(local_time(session.contract.schedules.timezone, now).date())
    with database.transaction(connection):
        database.execute(connection, "resolve_open_day_alerts", batch_id=today)
        day = database.row(connection, "select_stream_day", batch_id=today)
        is_open = day is not None and day["kind"] == "stream" and day["sealed_at"] is None
        run_id = day["scoring_run_id"] if day is not None and is_open else None
        run = database.row(connection, "select_scoring_run", scoring_run_id=run_id)
    if day is None or run is None:
        return OpenDay()
    if day["accepted"] < FEWEST:
        return OpenDay(today, day["accepted"])
    causes, _ = find_causes(session, {**run, "applications": day["accepted"]})
    if causes:
        _open_alert(session, run_id, today, day["accepted"], causes)
    return OpenDay(today, day["accepted"], causes)


def _open_alert(
    session: Session, run_id: str | None, today: str, loans: int, causes: list[BatchCause]
) -> None:
    worst = min(causes, key=lambda each: each.severity)  # critical comes before warning
    subjects = [name for each in causes for name in each.subjects]
    message = f"So far today, in {loans:,} loans: " + " ".join(each.message for each in causes)
    with database.transaction(session.connection):
        database.execute(
            session.connection,
            "upsert_open_day_alert",
            scoring_run_id=run_id,
            batch_id=today,
            severity=worst.severity,
            message=message,
            evidence=json.dumps({"subjects": subjects, "loans": loans}),
        )
    log.warning("batch %s: %s", today, message)
