"""Timeline, story of an alert, promotion on the page, over the routes."""

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.desk.decisions import record_decision
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import apply_verdict, judge_and_promote, promote_by_hand

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
P = "/loan-scoring/p/loan_default"
NIGHT = "2026-01-05"
SCRIPT = "<script>alert(1)</script>"
EVIDENCE = {"income_usd_per_month": {"tests": {"psi": {"effect": 0.3, "threshold": 0.1}}}}


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    plain = unescape(re.sub(r"<[^>]*>", " ", answer.text.partition("<main")[2]))
    return re.sub(r"\s+", " ", plain)


def rows(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


@pytest.fixture
def alerted(night: Session) -> tuple[Session, int]:
    """The scored night with an open alert of other applicants."""
    with database.transaction(night.connection), night.connection.cursor() as cursor:
        cursor.execute(
            "insert into alerts (batch_id, last_batch_id, scoring_run_id, severity, kind, subject,"
            " message, evidence) select batch_id, batch_id, scoring_run_id, 'critical',"
            " 'population', 'income_usd_per_month', 'Monthly income fell', %s"
            " from scoring_runs where is_current returning alert_id",
            (json.dumps(EVIDENCE),),
        )
        (alert_id,) = cursor.fetchone()
    return night, int(alert_id)


def test_timeline_tells_what_happened_latest_first_and_by_part(
    client: Any, token: Token, alerted: tuple[Session, int]
) -> None:
    night, alert_id = alerted
    ((loan,),) = rows(night, "select loan_id from current_scores where decision = 'review' limit 1")
    record_decision(night, loan, "approve", SCRIPT, "airflow:ann")
    seen = token("viewer")
    answer = client.get(f"{P}/timeline", headers=seen)
    told = re.findall(r'data-event="(.*?)"', answer.text)
    assert {"landed", "scored", "promoted"} <= {*told}
    assert told.index("scored") < told.index("landed")  # the latest first
    assert f"alert {alert_id}" in text(answer)
    assert SCRIPT not in answer.text
    only = re.findall(
        r'data-event="(.*?)"', client.get(f"{P}/timeline?part=models", headers=seen).text
    )
    assert only
    assert set(only) < set(told)
    none = client.get(f"{P}/timeline?until=2020-01-01", headers=seen)
    assert "Nothing" in text(none)
    assert client.get(f"{P}/timeline?part=x", headers=seen).status_code == 422


def test_alert_is_assigned_by_who_may_handle_it_and_its_story_says_so(
    client: Any, token: Token, alerted: tuple[Session, int]
) -> None:
    night, alert_id = alerted
    path = f"{P}/alerts/{alert_id}"
    sent = {"action": "assign", "assignee": SCRIPT}
    assert client.post(path, data=sent, headers=token("viewer")).status_code == 403
    done = client.post(path, data=sent, headers=token("op"), follow_redirects=False)
    assert done.status_code == 303
    assert rows(night, "select assignee, state from alerts") == [[SCRIPT, "open"]]
    shown = client.get(path, headers=token("viewer"))
    assert f"Assigned to {SCRIPT}" in text(shown)
    assert SCRIPT not in shown.text
    assert "Assigned by airflow:a op" in text(shown)
    assert rows(night, "select count(*) from audit_log where action = 'alert.assign'") == [[1]]
    client.post(path, data={"action": "assign", "assignee": ""}, headers=token("op"))
    assert rows(night, "select assignee from alerts") == [[None]]
    assert client.get(f"{P}/alerts/999", headers=token("viewer")).status_code == 404


def test_alert_leads_to_its_columns_and_two_batches_say_how_they_differ(
    client: Any, token: Token, alerted: tuple[Session, int]
) -> None:
    seen = token("viewer")
    shown = client.get(f"{P}/alerts/{alerted[1]}", headers=seen)
    assert f"{P}/drift/column?kind=data&amp;feature=income_usd_per_month" in shown.text
    assert f"batch {NIGHT}" in text(shown)
    two = client.get(f"{P}/drift/two?left={NIGHT}&right={NIGHT}", headers=seen)
    assert re.search(r"Received (\S+) \1 \+0\.0 % ", text(two))
    assert "+0.0 points of scored" in text(two)


def test_pair_is_promoted_on_the_page_by_an_admin_with_a_comment(
    client: Any, token: Token, ready: Session, challenge: Callable, point: Callable
) -> None:
    pair = challenge("second")
    promote_by_hand(ready, pair["propensity"], "cli:tests", "a drill")
    third = challenge("third", max_bins=200)
    point(ready)
    path = f"{P}/models/{third['propensity']}/promote"
    sent = {"comment": "the better one", "seen": "propensity-2", "confirm": "yes"}
    for role in ("viewer", "user", "op"):
        assert client.post(path, data=sent, headers=token(role)).status_code == 403
    admin = token("admin")
    assert client.post(path, data=sent | {"comment": " "}, headers=admin).status_code == 422
    assert client.post(path, data=sent | {"seen": "propensity-1"}, headers=admin).status_code == 409
    sent["overrules"] = "yes"  # a small sample may fail a gate by noise
    done = client.post(path, data=sent, headers=admin, follow_redirects=False)
    assert (done.status_code, done.headers["location"]) == (303, f"{P}/models#history")
    assert registry.champion_version(ready, "propensity") == third["propensity"]
    ((by, comment),) = rows(
        ready,
        "select decided_by, comment from promotions where verdict = 'promoted'"
        f" and model_version = '{third['propensity']}'",
    )
    assert (by, comment) == ("airflow:a admin", "the better one")
    assert client.post(path, data=sent, headers=admin).status_code == 409


def test_models_say_in_a_line_why_a_version_was_refused(
    client: Any, token: Token, ready: Session, challenge: Callable, point: Callable
) -> None:
    pair = challenge("second")
    evidence = judge_and_promote(ready, pair, "hold")[1] or {"champion": None, "gates": []}
    evidence = evidence | {
        "gates": [{"gate": "better", "passed": False, "sentence": "AUC is no better."}]
    }
    apply_verdict(ready, pair, "refused", "policy:auto", evidence)
    point(ready)
    shown = text(client.get(f"{P}/models", headers=token("viewer")))
    assert "AUC is no better." in shown
