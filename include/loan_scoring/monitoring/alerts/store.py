"""Store the drift causes found in each batch, and keep one alert for each cause.

The alert stays open for as long as batches show its cause.
"""

import json
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import CAUSES, CONCEPT, BatchCause
from loan_scoring.monitoring.alerts.episodes import fold_episodes

BY = "metrics"
"""Value of column `changed_by` if the stage `metrics`, and not a person, changed an alert."""


def record_causes(
    session: Session, run_id: str, causes: tuple[str, ...], found: list[BatchCause]
) -> None:
    """Replace the findings of a scoring run for some causes, in the caller's transaction.

    Args:
        run_id: id of the scoring run.
        causes: causes whose earlier findings are deleted.
        found: causes that the run's batch shows, each of them in `causes`.
    """
    database.execute(
        session.connection, "delete_findings", scoring_run_id=run_id, causes=list(causes)
    )
    for each in found:
        database.execute(
            session.connection,
            "insert_finding",
            scoring_run_id=run_id,
            cause=each.cause,
            severity=each.severity,
            subjects=each.subjects,
            message=each.message,
            evidence=json.dumps(each.evidence),
        )


def update_alerts(session: Session) -> None:
    """Open, update and resolve alerts from the findings of all batches, in one transaction.

    The first batch that shows a cause opens an alert. Later batches that show the cause update the
    alert, and two consecutive stable batches resolve the alert. An alert that a person has resolved
    stays resolved, and the next batch that shows the cause opens a new alert. A second call with
    unchanged findings changes nothing.

    The call also resolves three kinds of other alerts:

    - quality alerts on a column for which the batch also shows the cause `bad_data`
    - quality alerts on a batch, if the last two batches after this batch have no open quality alert
    - alerts on channels that the contract no longer has
    """
    with database.transaction(session.connection):
        database.lock(session.connection, "alerts")
        batches = database.rows(session.connection, "select_findings_by_batch")
        known = database.rows(session.connection, "select_alerts_by_cause", causes=list(CAUSES))
        for cause in CAUSES:
            _update(session, cause, batches, [row for row in known if row["kind"] == cause])
        database.execute(session.connection, "resolve_merged_quality_alerts")
        database.execute(session.connection, "resolve_outlived_quality_alerts")
        channels = [channel.name for channel in session.contract.notifications]
        database.execute(session.connection, "resolve_dropped_channels", channels=channels)


def _update(
    session: Session, cause: str, batches: list[database.Row], known: list[database.Row]
) -> None:
    closed = [row["last_batch_id"] for row in known if row["is_closed_by_person"]]
    since = max(closed, default="")
    # The cause `concept` of a batch is known only after enough outcomes have arrived. The other
    # causes are known once the batch is measured.
    is_known = "is_mature" if cause == CONCEPT else "is_measured"
    known_batches = {
        row["batch_id"]: row for row in batches if row["batch_id"] > since and row[is_known]
    }
    shown: dict[str, dict[str, Any]] = {
        batch_id: row["findings"][cause] | {"scoring_run_id": row["scoring_run_id"]}
        for batch_id, row in known_batches.items()
        if cause in row["findings"]
    }
    episodes = fold_episodes((batch_id, batch_id in shown) for batch_id in known_batches)
    for episode in episodes:
        last = shown[episode.last_batch_id]
        database.execute(
            session.connection,
            "upsert_drift_alert",
            kind=cause,
            batch_id=episode.first_batch_id,
            last_batch_id=episode.last_batch_id,
            batches=episode.batches,
            state="resolved" if episode.is_over else "open",
            scoring_run_id=last["scoring_run_id"],
            severity=last["severity"],
            subject=", ".join(last["subjects"]),
            message=last["message"],
            evidence=json.dumps(last["evidence"]),
            changed_by=BY,
        )
    database.execute(
        session.connection,
        "resolve_vanished_episodes",
        kind=cause,
        since=since,
        first_batch_ids=[episode.first_batch_id for episode in episodes],
        changed_by=BY,
    )
