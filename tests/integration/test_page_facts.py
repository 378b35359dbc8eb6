"""Facts on pages: nights that landed again or were refused, and alerts on the system itself."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.handling import handle_alert
from loan_scoring_web.pages import plots
from loan_scoring_web.pages.alerts import read_alerts_page
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.overview import read_portfolio_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"


@pytest.fixture
def session(empty: Session) -> Session:
    """A schema with champions and without nights."""
    execute(
        empty,
        "INSERT INTO models (model_version, kind, number, algorithm, parameters, features,"
        " metrics, training_data, fingerprint, code_version, artifact, artifact_sha256)"
        " SELECT k || '-1', k, 1, 'a', '{}', '{}', '{}', '{}', 'f', 'c', 'a', 'h'"
        " FROM unnest(ARRAY['propensity', 'personas']) AS k;"
        "INSERT INTO promotions (kind, model_version, verdict, evidence, decided_by)"
        " SELECT kind, model_version, 'promoted', '{}', 'tests' FROM models",
    )
    return empty


def execute(session: Session, statement: str, *values: object) -> None:
    with session.connection, session.connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def land(session: Session, revision: int, state: str = "published", accepted: int = 1) -> None:
    """Land a revision of the night. A published one becomes current and is not scored yet."""
    is_current = state == "published"
    if is_current:
        execute(session, "UPDATE batches SET is_current = false WHERE batch_id = %s", NIGHT)
    execute(
        session,
        "INSERT INTO batches (batch_id, revision, source, sha256, state, is_current, received,"
        " accepted, quarantined) VALUES (%s, %s, 's', %s, %s, %s, %s, %s, 1)",
        NIGHT, revision, str(revision), state, is_current, accepted + 1, accepted,
    )  # fmt: skip


def score(session: Session, revision: int) -> None:
    """Make a scoring run of one application the night's current one."""
    execute(session, "UPDATE scoring_runs SET is_current = false")
    execute(
        session,
        "INSERT INTO scoring_runs (scoring_run_id, batch_id, revision, propensity_version,"
        " personas_version, state, is_current, applications, scored, referred, published_at)"
        " VALUES (%s, %s, %s, 'propensity-1', 'personas-1', 'published', true, 1, 1, 0, now())",
        f"run-{revision}", NIGHT, revision,
    )  # fmt: skip


def page(name: str, **shown: object) -> str:
    given = {
        "base": "", "airflow": "", "portfolio": "loan_default", "portfolios": ["loan_default"],
        "user": None, "is_operator": False, "is_admin": False, "active": None,
    }  # fmt: skip
    return render_template(name, **given, **shown)


def batch_page(session: Session) -> str:
    found = read_batch_page(session, NIGHT)
    assert found is not None
    return page("batch.html", **found)


def texts(session: Session) -> list[str]:
    return [problem.text for problem in read_portfolio_page(session)["problems"]]


def test_corrected_refusal_is_late_and_not_refused(session: Session) -> None:
    land(session, 1, "refused", accepted=0)
    assert read_portfolio_page(session)["last"]["punctuality"] == "refused"
    assert f"The file of {NIGHT} was refused" in texts(session)
    land(session, 2)
    assert read_portfolio_page(session)["last"]["punctuality"] == "waiting"
    score(session, 2)
    shown = read_portfolio_page(session)
    assert shown["last"]["punctuality"] == "late"
    assert shown["slo"]["nights_on_time"] == 0
    assert f"{NIGHT} was scored late" in texts(session)
    assert f"The file of {NIGHT} was refused" not in texts(session)


def test_scores_of_a_replaced_revision_are_marked(session: Session) -> None:
    land(session, 1)
    score(session, 1)
    assert "the counts reconcile" in batch_page(session)
    land(session, 2, accepted=5)
    warning = "scores are of revision 1; revision 2 is not scored yet"
    shown = batch_page(session)
    assert warning in shown
    assert "does not reconcile" not in shown
    assert f"{NIGHT}: {warning}" in texts(session)
    score(session, 2)  # one application of five
    assert "does not reconcile" in batch_page(session)
    assert f"{NIGHT}: {warning}" not in texts(session)


def test_export_is_offered_for_a_current_revision(session: Session) -> None:
    land(session, 1, "refused", accepted=0)
    assert "quarantine.csv" not in batch_page(session)
    land(session, 2)
    assert "quarantine.csv" in batch_page(session)


def alert(session: Session, kind: str, subject: str, batch_id: str) -> int:
    name = {"failure": "stage", "delivery": "channel"}[kind]
    values = {name: subject, "batch_id": batch_id, "message": subject, "severity": "critical"}
    with database.transaction(session.connection):
        database.execute(
            session.connection, f"upsert_{kind}_alert", evidence=json.dumps({}), **values
        )
    found = database.select_read_only(session.connection, "SELECT max(alert_id) FROM alerts")
    return int(found[1][0][0])


def test_acknowledged_alert_keeps_the_warning(session: Session) -> None:
    land(session, 1)
    score(session, 1)
    execute(
        session,
        "INSERT INTO drift (scoring_run_id, kind, feature, test, statistic, effect, threshold,"
        " level) VALUES ('run-1', 'data', 'income', 'psi', 0, 0, 1, 'stable')",
    )
    assert read_portfolio_page(session)["verdict"] == ("good", "Everything is all right")
    one, two = alert(session, "failure", "train", NIGHT), alert(session, "delivery", "mail", NIGHT)
    assert read_portfolio_page(session)["verdict"] == (
        "bad",
        "2 things need attention now",
    )
    handle_alert(session, one, "acknowledge", "airflow:ann")
    handle_alert(
        session, two, "snooze", "airflow:ann", until=datetime.now(UTC).date() + timedelta(days=7)
    )
    shown = read_portfolio_page(session)
    assert shown["problems"] == []
    assert shown["verdict"] == ("warn", "Nothing new: 2 alerts are being worked on or snoozed")
    # The tile, the night's row, the view and the alerts page show the same number.
    assert (len(shown["alerts"]), shown["last"]["open_alerts"]) == (2, 2)
    health = database.rows(session.connection, "select_batch_health")
    assert [row["open_alerts"] for row in health] == [2]
    assert "2 open, 1 snoozed" in alerts_page(session)


def alerts_page(session: Session) -> str:
    return page("alerts.html", **read_alerts_page(session))


def test_alert_on_the_system_links_only_to_an_existing_batch(session: Session) -> None:
    land(session, 1)
    alert(session, "failure", "score", NIGHT)
    alert(session, "failure", "train", "2026-02-01")
    alert(session, "failure", "ingest", "history")
    alert(session, "delivery", "mail", NIGHT)
    alert(session, "delivery", "mail", "2026-02-01")
    (night,) = read_portfolio_page(session)["nights"]
    assert night["open_alerts"] == 2
    shown = alerts_page(session)
    assert shown.count("A stage failed: ") == 3
    assert "A channel does not deliver: mail" in shown
    assert f"batches/{NIGHT}" in shown
    assert "batches/2026-02-01" not in shown
    assert "batches/history" not in shown


@pytest.mark.parametrize(("length", "places", "shares"), [(60, "y", "x"), (8, "x", "y")])
def test_levels_with_equal_labels_have_positions_of_their_own(
    length: int, places: str, shares: str
) -> None:
    levels = ["a" * length + "1", "a" * length + "2", "missing", "missing"]
    drawn = plots.draw_side_by_side(levels, [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1])
    axis = drawn["layout"][f"{places}axis"]
    assert (
        [trace[places] for trace in drawn["data"]] == [axis["tickvals"]] * 2 == [[0, 1, 2, 3]] * 2
    )
    assert [trace[shares][0] for trace in drawn["data"]] == [0.1, 0.4]
    assert axis["ticktext"] == [plots.plot_label(level) for level in levels]
