"""The pages on real Postgres through Airflow's API server: rights, refusals, contents."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.scoring.batch import score_batch

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

Token = Callable[[str], dict[str, str]]
P = "/loan-scoring/p/loan_default"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def empty_url(empty: Session, point: Callable[[Session], None]) -> str:
    """Let the pages read an empty schema; return the name of its database."""
    point(empty)
    return empty.connection.info.dbname


@pytest.mark.attack
@pytest.mark.parametrize(
    "path", ["/", "/p/loan_default/", "/p/other/", "/nowhere", "/openapi.json", "/docs", "/dag/x"]
)
def test_every_address_needs_a_login(client: Any, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert client.request(method, f"/loan-scoring{path}").status_code == 401


BODIES: list[dict[str, Any]] = [
    {},
    {"content": b"{", "headers": {"Content-Type": "application/json"}},
    {"content": b"x" * ((1 << 20) + 1), "headers": {"Content-Type": "application/json"}},
    {"data": {"action": "x" * (1 << 20)}},
    {"files": {"action": b"x" * (1 << 20)}},
]


def addresses(method: str) -> list[str]:
    """Return every address of the plugin for a method, with its parameters filled in."""
    from loan_scoring_web.app import app

    found = [each.path for each in app.routes if method in (getattr(each, "methods", None) or ())]
    assert found
    return ["/loan-scoring" + re.sub(r"{.*?}", "loan_default", path) for path in found]


@pytest.mark.attack
def test_no_route_reads_a_body_before_the_user_is_known(client: Any) -> None:
    for path in {*addresses("GET"), *addresses("POST"), f"{P}/alerts/"}:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            for body in BODIES:
                answer = client.request(method, path, **body, follow_redirects=False)
                assert answer.status_code == 401, (method, path)


@pytest.mark.attack
def test_viewer_sends_no_form(client: Any, token: Token) -> None:
    for path in addresses("POST"):
        assert client.post(path, headers=token("viewer")).status_code == 403, path


def test_address_without_a_slash_is_the_page_and_not_a_redirect(
    client: Any, token: Token, empty_url: str
) -> None:
    assert client.get(P, headers=token("viewer"), follow_redirects=False).status_code == 200


@pytest.mark.attack
def test_form_of_an_alert_is_limited(client: Any, token: Token, with_alert: int) -> None:
    answer = post(client, with_alert, token("op"), action="x" * (1 << 20))
    assert answer.status_code == 413


def test_static_files_need_no_login(client: Any) -> None:
    assert client.get("/loan-scoring/static/pages.css").status_code == 200


@pytest.mark.attack
def test_page_loads_only_own_files_and_runs_no_inline_script(
    client: Any, token: Token, empty_url: str
) -> None:
    policy = client.get(f"{P}/", headers=token("viewer")).headers["content-security-policy"]
    assert "default-src 'self';" in policy
    assert "script-src" not in policy


def test_unknown_portfolio_is_not_found(client: Any, token: Token, empty_url: str) -> None:
    assert client.get("/loan-scoring/p/other/", headers=token("viewer")).status_code == 404


def test_page_without_its_database_names_the_reason(
    client: Any, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOAN_SCORING", "LOAN_SCORING_READER"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", "postgresql://u:secret@127.0.0.1:1/none")
    shown = client.get(f"{P}/", headers=token("viewer"))
    assert shown.status_code == 503
    assert "no database at postgresql://u@127.0.0.1:1/none" in shown.text
    assert "secret" not in shown.text


def test_tab_of_a_dag_opens_its_portfolio(client: Any, token: Token) -> None:
    seen = token("viewer")
    for stage in ("train", "maintenance"):
        path = f"/loan-scoring/dag/loan_default_{stage}"
        mine = client.get(path, headers=seen, follow_redirects=False)
        assert mine.headers["location"] == f"{P}/"
    assert (
        "does not belong to loan-scoring"
        in client.get("/loan-scoring/dag/other", headers=seen).text
    )


@pytest.mark.parametrize("path", ["", "batches", "drift", "alerts", "operations"])
def test_page_of_an_empty_portfolio_shows(
    client: Any, token: Token, empty_url: str, path: str
) -> None:
    assert client.get(f"{P}/{path}", headers=token("viewer")).status_code == 200


@pytest.fixture
def with_alert(empty: Session, empty_url: str) -> int:
    """An alert on a refused batch, its texts a script, in the schema that the pages read."""
    with empty.connection, empty.connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batches (batch_id, revision, source, sha256, state, received, accepted,"
            " quarantined) VALUES ('2026-01-05', 1, %s, 'x', 'refused', 1, 0, 1)",
            (SCRIPT,),
        )
        cursor.execute(
            "INSERT INTO alerts (batch_id, last_batch_id, revision, severity, kind, subject,"
            " message, evidence) VALUES ('2026-01-05', '2026-01-05', 1, 'critical', 'quality',"
            " %(text)s, %(text)s, jsonb_build_object(%(text)s::text, %(text)s::text))"
            " RETURNING alert_id",
            {"text": SCRIPT},
        )
        found = cursor.fetchone()
        cursor.execute(
            "INSERT INTO task_metrics (run, task, batch_id, rows, seconds, errors, error,"
            " peak_memory_bytes, started_at, finished_at) VALUES (%(text)s, 'ingest.land',"
            " '2026-01-05', 0, 1, 1, %(text)s, 1, now(), now())",
            {"text": SCRIPT},
        )
        assert found is not None
        return int(found[0])


@pytest.mark.attack
def test_user_of_one_portfolio_cannot_see_another(
    client: Any, token: Token, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    manager = type(get_auth_manager())
    allowed = manager.is_authorized_dag

    def only_loan_default(self: Any, *, method: Any, user: Any, **of: Any) -> bool:
        """Allow only the DAGs of one portfolio, as a role of Airflow's FAB manager can."""
        mine = of["details"] is not None and of["details"].id.startswith("loan_default_")
        return mine and allowed(self, method=method, user=user, **of)

    monkeypatch.setattr(manager, "is_authorized_dag", only_loan_default)
    op = token("op")
    shown = client.get(f"{P}/", headers=op)
    assert shown.status_code == 200
    assert "credit_data" not in shown.text
    for method, least in (("GET", 15), ("POST", 5)):
        paths = [each for each in addresses(method) if re.search("/(p|v1)/loan_default", each)]
        assert len(paths) > least
        for path in paths:
            answer = client.request(
                method, path.replace("loan_default", "credit_data"), json={}, headers=op
            )
            assert answer.status_code == 403, (method, path)


@pytest.mark.attack
@pytest.mark.parametrize("path", ["", "batches/2026-01-05", "alerts", "operations"])
def test_script_in_a_value_is_text(client: Any, token: Token, with_alert: int, path: str) -> None:
    shown = client.get(f"{P}/{path}", headers=token("admin"))
    assert shown.status_code == 200
    assert "<script>alert" not in shown.text
    assert "&lt;script&gt;alert" in shown.text


def test_refused_night_is_not_all_right(client: Any, token: Token, with_alert: int) -> None:
    shown = client.get(f"{P}/", headers=token("viewer")).text
    assert "The file of 2026-01-05 was refused" in shown
    assert "Everything is all right" not in shown


def post(client: Any, alert_id: int, headers: dict[str, str], **form: str) -> Any:
    return client.post(f"{P}/alerts/{alert_id}", data=form, headers=headers, follow_redirects=False)


def stored(session: Session, alert_id: int) -> tuple:
    with session.connection, session.connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, changed_by, comment, snoozed_until FROM alerts WHERE alert_id = %s",
            (alert_id,),
        )
        found = cursor.fetchone()
        assert found is not None
        return found


def test_alert_is_handled_under_the_users_name(
    client: Any, token: Token, with_alert: int, empty: Session
) -> None:
    op = token("op")
    day = datetime.now(UTC).date() + timedelta(days=3)
    assert post(client, with_alert, op, action="acknowledge", comment=SCRIPT).status_code == 303
    assert stored(empty, with_alert) == ("acknowledged", "airflow:a op", SCRIPT, None)
    assert post(client, with_alert, op, action="snooze", until=str(day)).status_code == 303
    assert stored(empty, with_alert) == ("acknowledged", "airflow:a op", SCRIPT, day)
    assert "1 snoozed" in client.get(f"{P}/alerts", headers=op).text
    assert post(client, with_alert, op, action="resolve").status_code == 409
    assert post(client, with_alert, op, action="resolve", comment="mended").status_code == 303
    assert stored(empty, with_alert) == ("resolved", "airflow:a op", "mended", None)
    assert post(client, with_alert, op, action="acknowledge").status_code == 409


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"action": "delete"}, 409),
        ({}, 422),
        ({"action": "snooze"}, 409),
        ({"action": "snooze", "until": "yesterday"}, 422),
        ({"action": "snooze", "until": "2020-01-01"}, 409),
        ({"action": "acknowledge", "comment": "x" * 2001}, 422),
        ({"action": "acknowledge", "comment": "a\x00b"}, 422),
    ],
)
def test_wrong_form_is_refused_and_changes_nothing(
    client: Any, token: Token, with_alert: int, empty: Session, form: dict, status: int
) -> None:
    assert post(client, with_alert, token("op"), **form).status_code == status
    assert stored(empty, with_alert)[0] == "open"


@pytest.mark.parametrize(("alert_id", "status"), [(0, 422), (2**63, 422), (2**63 - 1, 409)])
def test_unknown_alert_is_refused(
    client: Any, token: Token, with_alert: int, alert_id: int, status: int
) -> None:
    refused = post(client, alert_id, token("op"), action="resolve", comment="mended")
    assert refused.status_code == status


@pytest.mark.attack
def test_viewer_may_not_handle_an_alert(
    client: Any, token: Token, with_alert: int, empty: Session
) -> None:
    refused = post(client, with_alert, token("viewer"), action="resolve", comment="mine")
    assert refused.status_code == 403
    assert stored(empty, with_alert)[0] == "open"
    assert "<form" not in client.get(f"{P}/alerts", headers=token("viewer")).text


@pytest.mark.attack
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "http://testserver"}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({}, 403),
    ],
)
def test_form_of_another_site_is_refused(
    client: Any, token: Token, with_alert: int, empty: Session, sent: dict, status: int
) -> None:
    cookie = {"Cookie": "_token=" + token("op")["Authorization"].removeprefix("Bearer ")}
    assert post(client, with_alert, cookie | sent, action="acknowledge").status_code == status
    assert (stored(empty, with_alert)[0] == "acknowledged") == (status == 303)


@pytest.mark.attack
def test_pages_read_with_a_role_that_cannot_write(empty_url: str, client: Any) -> None:
    from loan_scoring_web.databases import read_session

    with (
        read_session("loan_default") as session,
        pytest.raises(psycopg2.errors.ReadOnlySqlTransaction),
        session.connection.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM alerts")
    with read_session("loan_default") as session, session.connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        session.connection.commit()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("DELETE FROM alerts")


def test_unknown_batch_is_not_found(client: Any, token: Token, with_alert: int) -> None:
    for batch_id in ("2026-01-06", "history", "x", "%00", "x" * 5000):
        for path in (f"{P}/batches/{batch_id}", f"{P}/batches/{batch_id}/quarantine.csv"):
            assert client.get(path, headers=token("admin")).status_code in (404, 409), path
    assert client.get(f"{P}/batches/%00", headers=token("admin")).status_code == 404


def test_missing_table_of_a_portfolio_in_use_is_named(
    client: Any, token: Token, empty: Session, empty_url: str
) -> None:
    with empty.connection, empty.connection.cursor() as cursor:
        cursor.execute("DROP TABLE alerts CASCADE")
    shown = client.get(f"{P}/", headers=token("viewer"))
    assert shown.status_code == 503
    assert "loan-scoring migrate` brings them up to date" in shown.text


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:secret@127.0.0.1:1/none", "postgresql://u@127.0.0.1:1/none"),
        ("postgresql://u:secret@127.0.0.1/none?__extra__=%7B%7D", "postgresql://u@"),
    ],
)
def test_start_without_a_database_is_one_line(
    client: Any, token: Token, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    url: str, place: str,
) -> None:  # fmt: skip
    from loan_scoring_web.databases import log_database_at_start

    for name in ("LOAN_SCORING", "LOAN_SCORING_READER"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", url)
    log_database_at_start()
    (line,) = [each.getMessage() for each in caplog.records if each.name == "loan_scoring.web"]
    assert line.startswith(f"loan-scoring pages: no database at {place}")
    assert line.endswith("Airflow works without it")
    assert "\n" not in line
    assert "secret" not in line
    assert client.get(f"{P}/", headers=token("viewer")).status_code == 503


def test_a_declared_empty_night_has_its_pages(
    client: Any, token: Token, night: Session, tmp_path: Path
) -> None:
    path = tmp_path / "2026-01-06.EMPTY"
    path.touch()
    ingest_batch(night, "2026-01-06", path)
    score_batch(night, "2026-01-06")
    for page in ("", "/batches", "/batches/2026-01-06", "/drift", "/operations", "/queue"):
        assert client.get(f"{P}{page}", headers=token("viewer")).status_code in (200, 404), page
    shown = client.get(f"{P}/", headers=token("viewer")).text
    assert "2026-01-06 is not compared" not in shown
    assert client.get(f"{P}/batches/2026-01-06", headers=token("viewer")).status_code == 200
