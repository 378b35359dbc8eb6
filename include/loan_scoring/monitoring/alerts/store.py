"""Store what batches show, and open, update and resolve one alert for each lasting cause."""

import json
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import CAUSES, CONCEPT, BatchCause
from loan_scoring.monitoring.alerts.episodes import fold_episodes

BY = "metrics"
"""The name in `changed_by` where no person changed an alert."""


def record_causes(
    session: Session, run_id: str, causes: tuple[str, ...], found: list[BatchCause]
) -> None:
    """Write which of the `causes` a scoring run's batch shows, in the caller's transaction."""
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
    """Derive the alerts from the findings of all batches, in one transaction.

    An alert starts with the first batch that shows a cause; later batches update it, and two
    stable batches in a row resolve it. An alert that a person has resolved stays resolved: the
    next batch that shows the cause opens a new one. The same findings give the same alerts.
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
    # Whether a batch shows the cause concept is known only once its outcomes are in.
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
            "upsert_episode",
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
