"""Record in what the landing folder and the tables differ, and open or resolve its alerts."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime

from loan_scoring import database
from loan_scoring.contract.business_dates import ONE_DAY
from loan_scoring.database.session import Session
from loan_scoring.monitoring.landing_folder import (
    CHANGED,
    MISSING,
    UNTAKEN,
    LandingFinding,
    compare_landing,
)

MOST_NAMED = 5
"""Maximum number of spans of dates, or of files, that a message names."""

OPENINGS = {
    MISSING: ("critical", "Dates that were due have no file of applications: "),
    UNTAKEN: ("warning", "Files in the landing folder that no run took: "),
    CHANGED: ("warning", "Files that changed after they were taken: "),
}
REMEDIES = {
    MISSING: "ask the sender; then land the file, or DATE.EMPTY if there is none",
    UNTAKEN: "ingest them by their date, or remove them",
    CHANGED: "ingest the date again to take the new bytes, or put the old file back",
}


def reconcile_landing(session: Session, now: datetime | None = None) -> list[LandingFinding]:
    """Compare the landing folder with the tables, in one transaction, and return the findings.

    There is one alert for each kind of finding. It lasts while a finding of the kind is left.
    """
    connection = session.connection
    with database.transaction(connection):
        database.lock(connection, "alerts")
        found = compare_landing(session, now)
        keys = [f"{each.finding} {each.subject}" for each in found]
        database.execute(connection, "delete_landing_findings", found=keys)
        for each in found:
            database.execute(
                connection,
                "insert_landing_finding",
                finding=each.finding,
                subject=each.subject,
                batch_id=each.batch_id,
                message=each.message,
            )
        kinds = sorted({each.finding for each in found})
        database.execute(connection, "resolve_landing_alerts", findings=kinds)
        for kind in kinds:
            _open_alert(session, kind, [each for each in found if each.finding == kind])
    return found


def spans(days: Sequence[str]) -> list[str]:
    """Return dates in ascending order as spans of days without a gap.

    >>> spans(["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-03"])
    ['2026-01-30 to 2026-02-01', '2026-02-03']
    """
    found: list[list[date]] = []
    for day in map(date.fromisoformat, days):
        if found and day - found[-1][-1] == ONE_DAY:
            found[-1].append(day)
        else:
            found.append([day])
    return [f"{each[0]} to {each[-1]}" if each[1:] else str(each[0]) for each in found]


def _open_alert(session: Session, kind: str, found: Sequence[LandingFinding]) -> None:
    severity, opening = OPENINGS[kind]
    today = datetime.now(UTC).date().isoformat()
    batches = sorted({each.batch_id for each in found if each.batch_id}) or [today]
    parts = spans(batches) if kind == MISSING else [each.message for each in found]
    named = "; ".join(parts[:MOST_NAMED])
    more = f" (and {len(parts) - MOST_NAMED} more)" if len(parts) > MOST_NAMED else ""
    database.execute(
        session.connection,
        "upsert_landing_alert",
        finding=kind,
        batch_id=batches[0],
        last_batch_id=batches[-1],
        batches=len(batches),
        severity=severity,
        message=f"{opening}{named}{more}: {REMEDIES[kind]}",
        evidence=json.dumps({"subjects": [each.subject for each in found]}),
    )
