"""Channels use Airflow's own notifiers, here with real servers. A failing channel fails no run."""

import json
import socket
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml
from receivers import LOGIN, PASSWORD, MailServer, WebServer, serving

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.scoring.batch import score_batch

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

NIGHT = "2026-01-05"
MAIL = {"name": "mail", "kind": "smtp", "connection": "mailer", "recipients": ["a@b.example"]}
CHAT = {"name": "chat", "kind": "slack", "connection": "chat"}
HOOK = {"name": "hook", "kind": "webhook", "connection": "hook"}
TOKEN = "T000-secret-token-B000"
HOSTILE = "levels {{ macros.datetime }} <!channel> <b>bold</b> & more"

Run = Callable[..., Any]
DagOf = Callable[..., Any]
Printed = Callable[[], str]


@pytest.fixture
def dag_of(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DagOf:
    """Parse a stage's DAG of a contract with some channels."""
    text = (settings.portfolios_dir() / "loan_default.yaml").read_text()

    def read(stage: str, *channels: dict[str, Any]) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
        raw = yaml.safe_load(text) | {"notifications": list(channels)}
        (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        bag = DagBag(settings.home() / "dags" / f"loan_scoring_{stage}.py")
        return bag.dags[f"loan_default_{stage}"]

    return read


@pytest.fixture
def run(dag_of: DagOf, empty_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a stage's DAG once without retries, with some channels; return its DAG run."""
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", empty_url)

    def go(stage: str, batch: str, *channels: dict[str, Any], state: str = "success") -> Any:
        dag = dag_of(stage, *channels)
        for task in dag.tasks:
            task.retries = 0
        done = dag.test(run_conf={"batch_id": batch})
        assert done.state == state
        return done

    return go


@pytest.fixture
def printed(request: pytest.FixtureRequest) -> Printed:
    """Return a function that gives what tasks have logged to stdout.

    The text is masked like a task log. A task's supervisor does that, and dag.test() has none.
    """
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def take() -> str:
        from airflow.sdk.log import mask_logs

        return str(mask_logs(None, "", {"event": "".join(capture.read_global_capture())})["event"])

    return take


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with serving(MailServer()) as server:
        use_mail(monkeypatch, server.server_address[1])
        yield server


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with serving(WebServer()) as server:
        use_web(monkeypatch, server.server_address[1])
        yield server


def use_mail(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"from_email": "loans@b.example", "disable_ssl": True, "disable_tls": True}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "login": LOGIN}
    connection |= {"password": PASSWORD, "extra": json.dumps(extra | {"timeout": 1})}
    monkeypatch.setenv("AIRFLOW_CONN_MAILER", json.dumps(connection))


def use_web(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    here = f"http://127.0.0.1:{port}"
    chat = {"conn_type": "slackwebhook", "host": f"{here}/services", "password": TOKEN}
    chat["extra"] = json.dumps({"timeout": 1})
    hook = {"conn_type": "http", "host": f"{here}/hooks/{TOKEN}?sig={TOKEN}"}
    hook["extra"] = json.dumps({"timeout": 1})
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(chat))
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(hook))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def change(session: Session, statement: str, *values: Any) -> None:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(statement, values)


def rows(session: Session, query: str) -> list:
    return database.select_read_only(session.connection, query)[1]


def raised(session: Session, message: str = "it drifts") -> None:
    change(
        session,
        "INSERT INTO alerts (kind, subject, batch_id, last_batch_id, severity, message, evidence)"
        " VALUES ('failure', 'train', %s, %s, 'critical', %s, '{}')",
        NIGHT,
        NIGHT,
        message,
    )


def body_of(mail: EmailMessage) -> str:
    body = mail.get_body()
    assert body is not None
    return str(body.get_content())


def notify_of(done: Any) -> str:
    return next(each.state for each in done.get_task_instances() if each.task_id == "notify")


def test_drifted_night_is_mailed_once(
    run: Run,
    ready: Session,
    ready_url: str,
    mail: MailServer,
    drops: Replay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    change(ready, "UPDATE alerts SET state = 'resolved'")  # those of the history
    shocked = drops.batch_ids[3]
    ingest_batch(ready, shocked, drops.application_files[shocked])
    score_batch(ready, shocked)
    for _ in range(2):
        assert notify_of(run("metrics", shocked, MAIL)) == "success"
    (sent,) = mail.mails
    ((message,),) = rows(ready, "select message from open_alerts where kind = 'population'")
    assert sent["Subject"] == f"Residential loans: warning: other applicants, {shocked}"
    assert (sent["From"], sent["To"]) == ("loans@b.example", "a@b.example")
    assert mail.recipients == ["a@b.example"]
    assert message in body_of(sent).replace("&#x27;", "'")
    ((message_id,),) = rows(ready, "select distinct message_id from deliveries")
    assert sent["Message-ID"] == f"<{message_id}@loan-scoring>"


def test_text_of_a_file_is_sent_as_plain_text(
    run: Run, empty: Session, mail: MailServer, web: WebServer
) -> None:
    raised(empty, HOSTILE)
    run("outcomes", NIGHT, MAIL, CHAT, HOOK)
    (sent,) = mail.mails
    assert "{{ macros.datetime }} &lt;!channel&gt; &lt;b&gt;bold&lt;/b&gt; &amp; more" in (
        body_of(sent)
    )
    by_path = dict(web.posts)
    assert "{{ macros.datetime }} &lt;!channel&gt;" in by_path[f"/services/{TOKEN}"]["text"]
    sent_on = by_path[f"/hooks/{TOKEN}?sig={TOKEN}"]
    ((alert_id,),) = rows(empty, "select alert_id from open_alerts")
    assert (sent_on["portfolio"], sent_on["alerts"][0]["alert_id"]) == ("loan_default", alert_id)
    assert sent_on["alerts"][0]["message"] == HOSTILE
    query = "select message_id from deliveries where channel = 'hook'"
    assert rows(empty, query) == [[sent_on["message_id"]]]


@pytest.mark.parametrize("broken", ["mail", "chat", "hook"])
def test_closed_port_raises_an_alert_until_it_is_open_again(
    run: Run,
    empty: Session,
    broken: str,
    monkeypatch: pytest.MonkeyPatch,
    printed: Printed,
) -> None:
    channels = {"mail": MAIL, "chat": CHAT, "hook": HOOK}
    server, use = (MailServer, use_mail) if broken == "mail" else (WebServer, use_web)
    other, use_other = (WebServer, use_web) if broken == "mail" else (MailServer, use_mail)
    beside = HOOK if broken == "mail" else MAIL
    port = free_port()
    use(monkeypatch, port)
    raised(empty)
    with serving(other()) as working:
        use_other(monkeypatch, working.server_address[1])
        assert notify_of(run("outcomes", NIGHT, channels[broken], beside)) == "success"
        received = working.posts if broken == "mail" else working.mails
        assert len(received) == 2  # the alert, and the alert on the broken channel
        text = received[-1][1]["text"] if broken == "mail" else body_of(received[-1])
        assert f"The channel {broken} (" in text
    ((subject, state, message),) = rows(
        empty, "select subject, state, message from alerts where kind = 'delivery'"
    )
    assert (subject, state) == (broken, "open")
    assert "did not accept a message: the connection was refused or reset" in message
    log = printed()
    assert log.count(message) == 1
    if broken == "hook":
        assert "Max retries exceeded with url: *" in log
    found = str(
        rows(empty, "select a::text from alerts a union all select d::text from deliveries d")
    )
    for secret in (TOKEN, PASSWORD):
        assert secret not in log + found

    with serving(server(port)) as mended:
        run("outcomes", NIGHT, channels[broken])
        run("outcomes", NIGHT, channels[broken])
        assert len(mended.mails if broken == "mail" else mended.posts) == 1
    assert rows(empty, "select state from alerts where kind = 'delivery'") == [["resolved"]]


def test_refused_login_reveals_no_password(
    run: Run, empty: Session, mail: MailServer, web: WebServer, printed: Printed
) -> None:
    mail.refuses_login = True  # and its answer repeats login and password
    raised(empty)
    run("outcomes", NIGHT, MAIL, HOOK)
    ((message,),) = rows(empty, "select message from alerts where kind = 'delivery'")
    assert "it refused the login (535): see login and password of the connection" in message
    found = rows(empty, "select d::text from deliveries d")
    assert PASSWORD not in f"{printed()}{found}{web.posts}"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (403, b"invalid_token", "it answered 403 (invalid_token)"),
        (404, b"<html>no such page", "it answered 404"),
        (None, b"", "it gave no answer in time"),
    ],
)
def test_failed_slack_message_is_recorded(
    run: Run, empty: Session, web: WebServer, status: int | None, body: bytes, why: str
) -> None:
    web.status, web.body = status or 200, body
    if status is None:
        web.is_silent = True
    raised(empty)
    run("outcomes", NIGHT, CHAT)
    ((error, delivered),) = rows(empty, "select error, delivered_at from deliveries")
    assert (error, delivered) == (why, None)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (500, "it answered 500"),
        (302, "it redirects to another address: put that address into the connection"),
        (None, "it gave no answer in time"),
    ],
)
def test_failed_webhook_is_recorded(
    run: Run,
    empty: Session,
    web: WebServer,
    status: int | None,
    why: str,
    printed: Printed,
) -> None:
    web.status = status or 200
    if status is None:
        web.is_silent = True
    raised(empty)
    run("outcomes", NIGHT, HOOK)
    ((error, delivered),) = rows(empty, "select error, delivered_at from deliveries")
    assert (error, delivered) == (why, None)
    assert TOKEN not in printed()


def test_missing_connection_is_named(run: Run, empty: Session) -> None:
    raised(empty)
    run("outcomes", NIGHT, MAIL | {"connection": "nowhere"})
    ((error,),) = rows(empty, "select error from deliveries")
    assert error == (
        "Airflow has no connection nowhere: add it under Admin, Connections, or "
        "set AIRFLOW_CONN_NOWHERE"
    )


def test_refused_batch_fails_the_run_and_is_mailed(
    run: Run, empty: Session, mail: MailServer, drops: Replay
) -> None:
    """Half of the rows break a rule; then a corrected file lands."""
    batch = "2026-04-01"
    path = drops.application_files[NIGHT].with_name(f"{batch}.csv")
    header, *lines = drops.application_files[NIGHT].read_text().splitlines()
    half = len(lines) // 2
    path.write_text("\n".join([header, *lines[:half], *["x" + line for line in lines[half:]]]))
    try:
        done = run("ingest", batch, MAIL, state="failed")
        assert notify_of(done) == "success"
        (sent,) = mail.mails
        assert sent["Subject"] == "Residential loans: alerts: 1 critical, 1 warning"
        body = body_of(sent)
        assert "500 of 1,000 rows broke a rule (not_a_number:loan_id 500)" in body
        assert "the rule not_a_number put 500 of 1,000 rows (50%) into quarantine" in body

        path.write_text("\n".join([header, *lines]))
        run("ingest", batch, MAIL)
        assert len(mail.mails) == 2
        assert mail.mails[1]["Subject"] == "Residential loans: alerts: 2 resolved"
    finally:
        path.unlink()


def test_failed_expectation_is_mailed_once(
    run: Run, empty: Session, mail: MailServer, drops: Replay
) -> None:
    batch = "2026-04-02"
    path = drops.application_files[NIGHT].with_name(f"{batch}.csv")
    header, *lines = drops.application_files[NIGHT].read_text().splitlines()
    place = header.split(",").index("income")
    cut = [line.split(",") for line in lines]
    path.write_text(
        "\n".join([header, *(",".join([*row[:place], "", *row[place + 1 :]]) for row in cut)])
    )
    try:
        run("ingest", batch, MAIL, state="failed")
    finally:
        path.unlink()
    (sent,) = mail.mails
    assert sent["Subject"] == f"Residential loans: critical: not as the contract expects, {batch}"


def test_failed_run_is_mailed_and_stays_failed(run: Run, empty: Session, mail: MailServer) -> None:
    batch = "2021-01-01"
    for _ in range(2):
        run("score", batch, MAIL, state="failed")
    (sent,) = mail.mails
    assert f"The stage score failed for {batch} at plan: batch {batch}" in body_of(sent)


def test_missing_database_is_mailed(
    run: Run, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d"
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", gone)
    done = run("score", NIGHT, MAIL, state="failed")
    assert notify_of(done) == "failed"
    (sent,) = mail.mails
    assert sent["Subject"] == "Residential loans: critical: no database after score"
    assert PASSWORD not in str(sent)


@pytest.mark.parametrize("stage", ["ingest", "outcomes", "train", "score", "metrics"])
def test_every_dag_ends_in_notify_which_fails_no_run(dag_of: DagOf, stage: str) -> None:
    dag = dag_of(stage, MAIL)
    notify = dag.task_dict["notify"]
    assert dag.leaves == [notify]
    assert notify.is_teardown
    assert not notify.on_failure_fail_dagrun


def test_without_a_channel_alerts_are_kept(run: Run, empty: Session) -> None:
    run("ingest", "2021-01-01", state="failed")
    ((severity, message),) = rows(
        empty, "select severity, message from open_alerts where kind = 'failure'"
    )
    assert severity == "critical"
    assert "ingest failed for 2021-01-01 at land: no file of applications for 2021-01-01" in message
    assert rows(empty, "select * from deliveries") == []
