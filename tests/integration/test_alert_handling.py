"""A person's snooze stands until its day, or until the alert turns critical."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.monitoring.alerts.handling import handle_alert

pytestmark = pytest.mark.integration

IN_A_WEEK = datetime.now(UTC).date() + timedelta(days=7)
EPISODE = {
    "kind": "population",
    "batch_id": "2026-01-05",
    "last_batch_id": "2026-01-05",
    "batches": 1,
    "state": "open",
    "subject": "income",
    "message": "Other applicants",
    "evidence": json.dumps({}),
    "changed_by": "metrics",
}


@pytest.fixture
def session(empty: Session) -> Session:
    """A schema with one scored batch."""
    with empty.connection, empty.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batches (batch_id, revision, source, sha256, state, is_current,"
            " received, accepted, quarantined)"
            " VALUES ('2026-01-05', 1, 's', 'x', 'published', true, 1, 1, 0);"
            "INSERT INTO models (model_version, kind, number, algorithm, parameters, features,"
            " metrics, training_data, fingerprint, code_version, artifact, artifact_sha256)"
            " SELECT k || '-1', k, 1, 'a', '{}', '{}', '{}', '{}', 'f', 'c', 'a', 'h'"
            " FROM unnest(ARRAY['propensity', 'personas']) AS k;"
            "INSERT INTO scoring_runs (scoring_run_id, batch_id, revision, propensity_version,"
            " personas_version, state, is_current, applications, scored, referred)"
            " VALUES ('run', '2026-01-05', 1, 'propensity-1', 'personas-1', 'published', true,"
            " 1, 1, 0)"
        )
    show(empty, "warning")
    return empty


def show(session: Session, severity: str, **more: object) -> None:
    values = EPISODE | {"severity": severity, "scoring_run_id": "run"} | more
    with database.transaction(session.connection):
        database.execute(session.connection, "upsert_drift_alert", **values)


def stored(session: Session) -> list:
    return database.select_read_only(
        session.connection, "select state, changed_by, snoozed_until from alerts"
    )[1][0]


def test_snooze_stands_while_the_alert_goes_on(session: Session) -> None:
    handle_alert(session, 1, "snooze", "airflow:ann", until=IN_A_WEEK)
    show(session, "warning", batches=2)
    assert stored(session) == ["open", "airflow:ann", IN_A_WEEK]


def test_snoozed_alert_wakes_where_it_turns_critical(session: Session) -> None:
    handle_alert(session, 1, "snooze", "airflow:ann", until=IN_A_WEEK)
    show(session, "critical")
    assert stored(session)[2] is None


def test_acknowledging_a_snoozed_alert_wakes_it(session: Session) -> None:
    handle_alert(session, 1, "snooze", "airflow:ann", until=IN_A_WEEK)
    handle_alert(session, 1, "acknowledge", "airflow:bob", "mine")
    assert stored(session) == ["acknowledged", "airflow:bob", None]


@pytest.mark.parametrize("days", [0, -1, 91])
def test_day_of_a_snooze_is_to_come_and_near(session: Session, days: int) -> None:
    with pytest.raises(StateError, match="snoozed until a day from"):
        handle_alert(
            session, 1, "snooze", "airflow:ann",
            until=datetime.now(UTC).date() + timedelta(days=days),
        )  # fmt: skip


def test_resolution_wants_a_comment_and_stays(session: Session) -> None:
    with pytest.raises(StateError, match="needs a comment"):
        handle_alert(session, 1, "resolve", "airflow:ann", "  ")
    handle_alert(session, 1, "resolve", "airflow:ann", "a campaign")
    with pytest.raises(StateError, match="alert 1 is resolved already"):
        handle_alert(session, 1, "acknowledge", "airflow:ann")
    with pytest.raises(StateError, match="there is no alert 2"):
        handle_alert(session, 2, "acknowledge", "airflow:ann")
