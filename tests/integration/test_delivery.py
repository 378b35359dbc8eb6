"""The outbox sends an event once if the channel accepts it, again if not, also after a kill."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import Spawn, deliver_into

from loan_scoring import database
from loan_scoring.contract import Channel, Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.monitoring.alerts.delivery import Send, deliver_alerts, deliver_database_loss
from loan_scoring.monitoring.alerts.failures import record_stage_result
from loan_scoring.monitoring.alerts.messages import Message
from loan_scoring.monitoring.alerts.store import update_alerts

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
MAIL = Channel(name="mail", kind="smtp", connection="c", recipients=["a@lender.example"])
CHAT = Channel(name="chat", kind="slack", connection="c")
GRAVE = Channel(name="grave", kind="webhook", connection="c", least_severity="critical")
FAILED = Channel(name="failed", kind="webhook", connection="c", alerts=["failure"])


class Receiver:
    """Accept messages, but refuse those through the broken channels."""

    def __init__(self, *broken: str) -> None:
        self.broken, self.took, self.asked = set(broken), [], []  # type: ignore[var-annotated]

    def __call__(self, channel: Channel, message: Message) -> None:
        self.asked.append(channel.name)
        if channel.name in self.broken:
            raise ConnectionRefusedError(111, "http://u:secret@h/ refused")
        self.took.append((channel.name, message))

    @property
    def told(self) -> list[tuple[str, str, int]]:
        """Channel, event and alert_id of everything accepted since the last call."""
        found = [
            (name, each["event"], each["alert_id"])
            for name, message in self.took
            for each in message.payload["alerts"]
        ]
        self.took = []
        return found


Portfolio = Callable[..., Session]


@pytest.fixture
def portfolio(empty: Session, loan_default: Contract) -> Portfolio:
    """Give a session whose contract has channels."""

    def make(*channels: Channel) -> Session:
        contract = loan_default.model_copy(update={"notifications": list(channels)})
        return Session(contract, empty.connection)

    return make


def run(session: Session, statement: str, **values: Any) -> None:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(statement, values)


def raised(session: Session, severity: str = "warning", message: str = "it drifts") -> int:
    """Open an alert that needs no batch; return its id."""
    run(
        session,
        "INSERT INTO alerts (kind, subject, batch_id, last_batch_id, severity, message, evidence)"
        " SELECT 'failure', 'stage ' || count(*), %(night)s, %(night)s, %(severity)s, %(message)s,"
        " '{}' FROM alerts",
        night=NIGHT,
        severity=severity,
        message=message,
    )
    return database.select_read_only(session.connection, "select max(alert_id) from alerts")[1][0][
        0
    ]


def outbox(session: Session, columns: str = "channel, event, delivered_at is not null") -> list:
    query = f"select {columns} from deliveries order by alert_id, channel, number"
    return database.select_read_only(session.connection, query)[1]


def channel_alerts(session: Session) -> list:
    query = "select subject, severity, state, batch_id, last_batch_id from alerts"
    return database.select_read_only(
        session.connection, f"{query} where kind = 'delivery' order by 1"
    )[1]


def test_opened_escalated_and_resolved_are_told_once_each(portfolio: Portfolio) -> None:
    session, receiver = portfolio(MAIL, GRAVE), Receiver()
    alert = raised(session)
    assert deliver_alerts(session, receiver, NIGHT) == 1
    assert deliver_alerts(session, receiver, NIGHT) == 0
    assert receiver.told == [("mail", "opened", alert)]

    run(session, "UPDATE alerts SET message = 'more of it', last_batch_id = '2026-01-06'")
    assert deliver_alerts(session, receiver, "2026-01-06") == 0  # updated, not sent again

    run(session, "UPDATE alerts SET severity = 'critical'")
    deliver_alerts(session, receiver, "2026-01-06")
    assert receiver.told == [("mail", "escalated", alert), ("grave", "opened", alert)]
    run(session, "UPDATE alerts SET severity = 'warning'")
    run(session, "UPDATE alerts SET severity = 'critical'")
    run(session, "UPDATE alerts SET state = 'acknowledged'")
    assert deliver_alerts(session, receiver, "2026-01-06") == 0

    run(session, "UPDATE alerts SET state = 'resolved'")
    deliver_alerts(session, receiver, "2026-01-07")
    assert receiver.told == [("mail", "resolved", alert), ("grave", "resolved", alert)]
    run(session, "UPDATE alerts SET state = 'open'")
    deliver_alerts(session, receiver, "2026-01-08")
    assert receiver.told == [("mail", "opened", alert), ("grave", "opened", alert)]
    assert deliver_alerts(session, receiver, "2026-01-09") == 0


def test_what_nobody_was_told_of_is_not_told_to_be_over(portfolio: Portfolio) -> None:
    session, receiver = portfolio(MAIL), Receiver()
    raised(session)
    run(session, "UPDATE alerts SET state = 'resolved'")
    acknowledged = raised(session)
    run(
        session, "UPDATE alerts SET state = 'acknowledged' WHERE alert_id = %(id)s", id=acknowledged
    )
    assert deliver_alerts(session, receiver, NIGHT) == 0
    assert outbox(session) == []


def test_channel_hears_of_its_own_kinds_and_severities(portfolio: Portfolio) -> None:
    session, receiver = portfolio(GRAVE, FAILED), Receiver()
    warning, critical = raised(session), raised(session, "critical")
    deliver_alerts(session, receiver, NIGHT)
    assert receiver.told == [
        ("grave", "opened", critical),
        ("failed", "opened", warning),
        ("failed", "opened", critical),
    ]


def test_one_message_tells_all_that_is_new_and_many_are_told_in_parts(portfolio: Portfolio) -> None:
    session, receiver = portfolio(MAIL), Receiver()
    for severity in ["critical"] * 2 + ["warning"] * 23:
        raised(session, severity)
    assert deliver_alerts(session, receiver, NIGHT) == 2
    (_, first), (_, second) = receiver.took
    assert first.subject == "Residential loans: alerts: 2 critical, 18 warning"
    assert second.subject == "Residential loans: alerts: 5 warning"
    assert len(receiver.told) == 25


def test_broken_channel_is_an_alert_that_the_others_tell_and_that_ends(
    portfolio: Portfolio, caplog: pytest.LogCaptureFixture
) -> None:
    session, receiver = portfolio(MAIL, CHAT), Receiver("chat")
    alert = raised(session)
    assert deliver_alerts(session, receiver, NIGHT) == 2
    assert channel_alerts(session) == [["chat", "critical", "open", NIGHT, NIGHT]]
    assert receiver.told == [("mail", "opened", alert), ("mail", "opened", alert + 1)]
    assert receiver.asked == ["mail", "chat", "mail"]  # the broken one is asked once a run
    (line,) = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert line == (
        "The channel chat (slack, connection c) did not accept a message: the connection was "
        "refused or reset (ConnectionRefusedError). The next run tries again"
    )

    deliver_alerts(session, receiver, "2026-01-06")
    assert channel_alerts(session) == [["chat", "critical", "open", NIGHT, "2026-01-06"]]
    assert receiver.told == []  # a lasting alert is not sent again
    tries = "channel, tries, error is null, delivered_at is null"
    assert outbox(session, tries)[0] == ["chat", 2, False, True]
    assert "secret" not in json.dumps(outbox(session, "deliveries::text")) + caplog.text

    receiver.broken.clear()
    deliver_alerts(session, receiver, "2026-01-07")
    assert channel_alerts(session) == [["chat", "critical", "resolved", NIGHT, "2026-01-06"]]
    assert receiver.told == [("chat", "opened", alert), ("mail", "resolved", alert + 1)]
    assert deliver_alerts(session, receiver, "2026-01-08") == 0

    receiver.broken.add("chat")
    raised(session)
    deliver_alerts(session, receiver, "2026-01-09")
    assert [row[2] for row in channel_alerts(session)] == ["resolved", "open"]


def test_only_channel_tells_what_it_did_not_take_and_not_that_it_was_broken(
    portfolio: Portfolio,
) -> None:
    session, receiver = portfolio(MAIL), Receiver("mail")
    alert = raised(session)
    assert deliver_alerts(session, receiver, NIGHT) == 0
    run(session, "UPDATE alerts SET state = 'resolved' WHERE kind = 'failure'")
    receiver.broken.clear()
    assert deliver_alerts(session, receiver, NIGHT) == 1
    assert receiver.told == [("mail", "opened", alert), ("mail", "resolved", alert)]
    assert channel_alerts(session)[0][2] == "resolved"


def test_alert_on_a_channel_that_the_contract_drops_is_over(portfolio: Portfolio) -> None:
    session = portfolio(MAIL, CHAT)
    raised(session)
    deliver_alerts(session, Receiver("mail", "chat"), NIGHT)
    update_alerts(portfolio(MAIL))
    assert [row[:3:2] for row in channel_alerts(session)] == [
        ["chat", "resolved"],
        ["mail", "open"],
    ]
    update_alerts(portfolio())
    assert [row[2] for row in channel_alerts(session)] == ["resolved", "resolved"]


def test_two_at_once_tell_it_once(portfolio: Portfolio, empty_url: str) -> None:
    """The second comes while the first is in the middle of sending."""
    is_sending, go_on = threading.Event(), threading.Event()
    receiver = Receiver()

    def slow(channel: Channel, message: Message) -> None:
        is_sending.set()
        assert go_on.wait(30)
        receiver(channel, message)

    first = portfolio(MAIL)
    alert = raised(first)
    counts: dict[str, int] = {}

    def work(name: str, session: Session, send: Send) -> None:
        counts[name] = deliver_alerts(session, send, NIGHT)

    with open_session("loan_default", empty_url) as other:
        second = Session(first.contract, other.connection)
        threads = [threading.Thread(target=work, args=("first", first, slow))]
        threads[0].start()
        assert is_sending.wait(30)
        threads.append(threading.Thread(target=work, args=("second", second, receiver)))
        threads[1].start()
        threads[1].join(0.5)
        assert threads[1].is_alive()  # it waits for the lock
        go_on.set()
        for thread in threads:
            thread.join(30)
    assert counts == {"first": 1, "second": 0}
    assert receiver.told == [("mail", "opened", alert)]


@pytest.mark.parametrize(
    ("step", "is_before", "times"),
    [
        ("INSERT INTO deliveries", True, 1),  # not queued yet
        ("SELECT d.alert_id", True, 1),  # queued, not sent
        ("UPDATE deliveries SET delivered_at", True, 2),  # sent, not recorded: sent once more
        ("UPDATE deliveries SET delivered_at", False, 1),  # on record
    ],
)
def test_killed_in_between_it_is_told_by_the_next_run(
    portfolio: Portfolio,
    spawn: Spawn,
    empty_url: str,
    tmp_path: Path,
    step: str,
    is_before: bool,
    times: int,
) -> None:
    session = portfolio(MAIL)
    raised(session)
    taken = tmp_path / "taken"
    child = spawn(deliver_into, empty_url, session.contract.notifications, str(taken))
    child.go("step by step")
    steps = child.steps()
    next(each for each in steps if each.name.startswith(step[:40]))
    if not is_before:
        next(each for each in steps if each.name == "after commit")
    child.kill()
    deliver_into(empty_url, session.contract.notifications, str(taken))
    ids = taken.read_text().split()
    assert len(ids) == times
    assert len(set(ids)) == 1  # by which the receiver recognises a repeat
    assert outbox(session) == [["mail", "opened", True]]


def test_warning_on_quality_waits_until_metrics_may_have_merged_it(
    portfolio: Portfolio, ready_batch: None
) -> None:
    session, receiver = portfolio(MAIL), Receiver()
    assert deliver_alerts(session, receiver, NIGHT) == 1
    assert [event for _, event, _ in receiver.told] == ["opened"]  # the critical one
    run(
        session,
        "INSERT INTO drift SELECT scoring_run_id, 'data', 'f', 'ks', 0, 1, 1, 0, 1, 'stable'"
        " FROM scoring_runs",
    )
    assert deliver_alerts(session, receiver, NIGHT) == 1


@pytest.fixture
def ready_batch(empty: Session) -> None:
    """A scored batch that is not measured, with a warning and a critical alert on its quality."""
    for kind in ("propensity", "personas"):
        run(
            empty,
            "INSERT INTO models (model_version, kind, number, algorithm, parameters, features,"
            " metrics, training_data, fingerprint, code_version, artifact, artifact_sha256)"
            " VALUES (%(kind)s || '-1', %(kind)s, 1, 'a', '{}', '{}', '{}', '{}', 'f', '1', 'a',"
            " 'b')",
            kind=kind,
        )
    run(
        empty,
        "INSERT INTO batches (batch_id, revision, source, sha256, state, is_current, received,"
        " accepted, quarantined, header, delimiter, rules_sha256)"
        " VALUES (%(night)s, 1, 's', 'h', 'published', true, 1, 1, 0, '{}', ',', 'r');"
        "INSERT INTO scoring_runs (scoring_run_id, batch_id, revision, propensity_version,"
        " personas_version, state, is_current, applications, scored, referred) VALUES"
        " ('run', %(night)s, 1, 'propensity-1', 'personas-1', 'published', true, 1, 1, 0);"
        "INSERT INTO alerts (kind, subject, batch_id, last_batch_id, revision, severity, message,"
        " evidence) VALUES ('quality', 'a', %(night)s, %(night)s, 1, 'warning', 'm', '{}'),"
        " ('quality', 'b', %(night)s, %(night)s, 1, 'critical', 'm', '{}')",
        night=NIGHT,
    )


def test_failure_of_a_stage_is_one_alert_until_it_goes_well(portfolio: Portfolio) -> None:
    session = portfolio()
    query = "select subject, batch_id, severity, state, message from alerts order by alert_id"

    def found() -> list:
        return database.select_read_only(session.connection, query)[1]

    for _ in range(2):
        record_stage_result(session, "score", NIGHT, NIGHT, "r", ["plan"])
    message = f"The stage score failed for {NIGHT} at plan: see the task's log"
    assert found() == [["score", NIGHT, "critical", "open", message]]
    record_stage_result(session, "score", "2026-01-06", "2026-01-06", "r", [])
    assert found()[0][3] == "open"  # another night
    record_stage_result(session, "score", NIGHT, NIGHT, "r", [])
    assert found()[0][3] == "resolved"

    record_stage_result(session, "train", None, "2026-01-04", "r", ["fit"])
    assert found()[1][:4] == ["train", "2026-01-04", "warning", "open"]
    record_stage_result(session, "train", None, "2026-01-11", "r", [])
    assert found()[1][3] == "resolved"


def test_database_that_is_gone_is_told_past_broken_channels(loan_default: Contract) -> None:
    receiver = Receiver("mail")
    contract = loan_default.model_copy(update={"notifications": [MAIL, CHAT]})
    deliver_database_loss(contract, receiver, "metrics", "r", "no database at X")
    ((name, message),) = receiver.took
    assert (name, message.subject) == (
        "chat",
        "Residential loans: critical: no database after metrics",
    )
    assert message.text.startswith("no database at X\n")
