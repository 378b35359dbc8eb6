"""Applications that arrive one by one get the scores of a night, each once."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from test_json_scores import applications, nightly

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.withdrawal import withdraw_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.stream.day import days_to_finish, finish_day, finish_days, seal_day
from loan_scoring.scoring.stream.intake import take_messages
from loan_scoring.scoring.stream.messages import Message, make_message, read_message

pytestmark = pytest.mark.integration

DAY = "2026-01-05"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
NEXT = NOON + timedelta(days=1)


@pytest.fixture
def loans(night_scored: str) -> list[dict[str, Any]]:
    """The loans of a night, as JSON has them."""
    with open_session("loan_default", night_scored) as session:
        return applications(session, limit=1000)


def messages(loans: list[dict[str, Any]], prefix: str = "m") -> list[Message]:
    return [read_message(make_message(f"{prefix}-{each['loan_id']}", each)) for each in loans]


def count(session: Session, what: str) -> Any:
    return database.select_read_only(session.connection, f"select {what}")[1][0][0]


def exactly(rows: dict[Any, dict[str, Any]]) -> dict[Any, str]:
    """Return scores as texts in which two floats are alike only if all their bits are."""
    return {key: repr(sorted(row.items())) for key, row in rows.items()}


def test_a_sealed_day_has_the_scores_of_a_night(
    ready: Session, scored: Session, loans: list[dict[str, Any]]
) -> None:
    sent = messages(loans)
    sizes = [1, 2, 7, 100, 300]
    while sent:
        taken, sent = sent[: sizes[0]], sent[sizes[0] :]
        sizes = sizes[1:] + sizes[:1]
        answers = take_messages(ready, taken, NOON)
        assert [each.refused for each in answers] == [[]] * len(taken)
    assert nightly(ready) == {}  # readers see a day when it is sealed
    sealed = finish_day(ready, DAY)
    assert (sealed.received, sealed.accepted, sealed.quarantined) == (1000, 1000, 0)
    assert exactly(nightly(ready)) == exactly(nightly(scored))


def test_a_message_again_is_answered_from_what_is_written(
    ready: Session, loans: list[dict[str, Any]]
) -> None:
    sent = messages(loans[:30])
    first = take_messages(ready, sent, NOON)
    again = take_messages(ready, [*sent[10:], *sent], NEXT)
    assert [each.reply for each in again] == [each.reply for each in [*first[10:], *first]]
    assert count(ready, "count(*) from scores") == 30
    assert count(ready, "received from batches where kind = 'stream'") == 30


def test_what_is_no_application_goes_to_quarantine(
    ready: Session, loans: list[dict[str, Any]]
) -> None:
    one, two, three, four = loans[:4]
    bad = [
        read_message(b"\xff\x00not json"),
        read_message(b"[1, 2]"),
        read_message(b'{"message_id": "x", "application": [1]}'),
        read_message(b'{"message_id": "", "application": {}}'),
        read_message(make_message("unknown", one | {"surprise": 1})),
        read_message(make_message("missing", {"loan_id": two["loan_id"]})),
        read_message(make_message("range", three | {"loan_amount_usd": -5})),
        read_message(make_message("nul", four | {"region": "a\x00"})),
    ]
    answers = take_messages(ready, [*bad, *messages([one])], NOON)
    rules = [each.refused for each in answers]
    assert [each[:2] for each in rules[:4]] == [
        ["not_a_message", each]
        for each in ("not_json", "not_an_object", "not_an_application", "message_id")
    ]
    assert rules[4] == ["not_a_message", "unknown_field:surprise"]
    assert rules[5][0] == "not_a_message"
    assert all(each.startswith("missing:") for each in rules[5][1:])
    assert "out_of_range:loan_amount_usd" in rules[6]
    assert rules[7] == ["not_a_message", "encoding:region"]
    assert rules[8] == []
    assert [each.refused for each in take_messages(ready, bad, NOON)] == rules[:8]
    assert count(
        ready, "array[received, accepted, quarantined] from batches where kind='stream'"
    ) == [9, 1, 8]


def test_a_loan_is_an_application_once(ready: Session, loans: list[dict[str, Any]]) -> None:
    one, two = loans[:2]
    twice = take_messages(ready, messages([one], "a") + messages([one], "b"), NOON)
    assert [each.refused for each in twice] == [[], ["duplicate_key:loan_id"]]
    (later,) = take_messages(ready, messages([one], "c"), NEXT)
    assert later.refused == ["known_key:loan_id"]
    broken = read_message(make_message("d", two | {"loan_amount_usd": "much"}))
    found = take_messages(ready, [broken, *messages([two], "e")], NOON)
    assert [each.refused for each in found] == [["not_a_number:loan_amount_usd"], []]
    other = read_message(make_message("e-" + str(two["loan_id"]), one))
    assert take_messages(ready, [other], NOON)[0].refused  # another message under a used id


def test_consumers_beside_each_other_write_each_message_once(
    ready: Session, loans: list[dict[str, Any]]
) -> None:
    sent = messages(loans[:200])
    faults: list[BaseException] = []

    def consume(own: list[Message]) -> None:
        try:
            with closing(database.connect_beside(ready.connection)) as connection:
                for place in range(0, len(own), 9):
                    take_messages(Session(ready.contract, connection), own[place : place + 9], NOON)
        except BaseException as error:  # noqa: BLE001 - a thread reports it
            faults.append(error)

    threads = [threading.Thread(target=consume, args=(each,)) for each in (sent, sent[::-1], sent)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == []
    assert count(ready, "count(*) from scores") == 200
    assert finish_day(ready, DAY).received == 200


def test_a_new_champion_scores_the_next_micro_batch(
    ready: Session, loans: list[dict[str, Any]], challenge: Callable[..., dict[str, str]]
) -> None:
    before = take_messages(ready, messages(loans[:5]), NOON)
    versions = challenge("other", max_iter=20)
    promote_by_hand(ready, versions["propensity"], "cli:tests", "a change in the day")
    after = take_messages(ready, messages(loans[5:20]), NOON)
    assert {each.reply["propensity_version"] for each in before} == {"propensity-1"}
    assert {each.reply["propensity_version"] for each in after} == {versions["propensity"]}
    sealed = finish_day(ready, DAY, accepted_because="a small day")
    run = f"from scoring_runs where scoring_run_id = '{sealed.scoring_run_id}'"
    assert count(ready, f"propensity_version {run}") == versions["propensity"]


def test_an_ended_day_is_finished_once_and_compared_until_it_is(
    ready: Session, loans: list[dict[str, Any]]
) -> None:
    take_messages(ready, messages(loans), NOON)
    assert days_to_finish(ready, NOON) == []
    assert finish_days(ready, now=NEXT) == ([DAY], [])
    assert finish_days(ready, now=NEXT) == ([DAY], [])  # the event may have been lost
    assert compare_batch(ready, DAY)["tests"] > 0
    assert finish_days(ready, now=NEXT) == ([], [])


def test_a_sealed_day_takes_nothing_more(ready: Session, loans: list[dict[str, Any]]) -> None:
    take_messages(ready, messages(loans[:20]), NOON)
    seal_day(ready, DAY)
    (late,) = take_messages(ready, messages(loans[20:21]), NOON)
    assert late.reply["batch_id"] == "2026-01-06"
    assert seal_day(ready, DAY).received == 20
    with pytest.raises(psycopg2.errors.CheckViolation), database.transaction(ready.connection):
        database.row(ready.connection, "seal_stream_run", scoring_run_id="nothing")


def test_a_day_that_fails_its_check_waits_for_a_person(
    ready: Session, loans: list[dict[str, Any]]
) -> None:
    broken = [read_message(f"{place}".encode()) for place in range(20)]
    take_messages(ready, [*broken, *messages(loans[:20])], NOON)
    days, wrong = finish_days(ready, now=NEXT)
    assert days == []
    assert "--accept" in wrong[0]
    assert count(ready, "count(*) from scores") == 20  # the applicants were answered
    with pytest.raises(SourceError, match="held back"):
        finish_day(ready, DAY)
    finish_day(ready, DAY, "cli:tests", "the broken ones were a test of the sender")
    assert len(nightly(ready)) == 20
    assert count(ready, "done_by from audit_log where action = 'batch.accept'") == "cli:tests"


def test_a_date_is_of_a_file_or_of_a_stream(
    ready: Session, drops: Replay, loans: list[dict[str, Any]]
) -> None:
    take_messages(ready, messages(loans[:20]), NOON)
    with pytest.raises(StateError, match="stream"):
        ingest_batch(ready, DAY, drops.application_files[DAY])
    finish_day(ready, DAY, accepted_because="a small day")
    with pytest.raises(StateError, match="stream"):
        ingest_batch(ready, DAY, drops.application_files[DAY])
    withdraw_batch(ready, DAY, "cli:tests", "the file has it")
    ingest_batch(ready, DAY, drops.application_files[DAY])
    with pytest.raises(StateError, match="came from a file"):
        take_messages(ready, messages(loans[:1], "again"), NOON)


def test_counts_that_differ_are_not_sealed(ready: Session, loans: list[dict[str, Any]]) -> None:
    take_messages(ready, messages(loans[:20]), NOON)
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute("delete from scores where loan_id = (select min(loan_id) from scores)")
    with pytest.raises(StateError, match="scores 19 instead of 20"):
        seal_day(ready, DAY)


def test_a_reply_is_json_of_its_score(ready: Session, loans: list[dict[str, Any]]) -> None:
    (found,) = take_messages(ready, messages(loans[:1]), NOON)
    reply = json.loads(json.dumps(found.reply))
    assert reply["loan_id"] == loans[0]["loan_id"]
    assert reply["decision"] in ("approve", "review", "decline", "refer")
    assert datetime.fromisoformat(reply["scored_at"]).tzinfo is not None
