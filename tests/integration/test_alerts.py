"""A lasting cause is one alert, two stable nights end it, a person's resolution stays."""

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

SHOCKED, BLANKED = (2, 3), 4


@pytest.fixture(scope="module")
def nights(loan_default: Contract, labelled_loans, drops: Replay, tmp_path_factory) -> Replay:
    """Return nights from the history of `ready`: two with an income shock, one with many nulls."""
    return replay_loans(
        loan_default,
        source=str(labelled_loans) if labelled_loans else None,
        nights=6,
        per_night=1000,
        scenarios={**{n: ["income_shock"] for n in SHOCKED}, BLANKED: ["missing_income"]},
        landing=tmp_path_factory.mktemp("nights"),
    )


def go(session: Session, nights: Replay, *places: int) -> None:
    for place in places:
        batch_id = nights.batch_ids[place - 1]
        ingest_batch(session, batch_id, nights.application_files[batch_id])
        score_batch(session, batch_id)
        compare_batch(session, batch_id)
        ask_where_drift_lasts(session, "population", batch_id)


def told(session: Session, kind: str) -> list[list]:
    return database.select_read_only(
        session.connection,
        "select batch_id, last_batch_id, batches, state, changed_by from alerts"
        f" where kind = '{kind}' order by batch_id",
    )[1]


def requests(session: Session) -> list[list]:
    return database.select_read_only(
        session.connection,
        "select batch_id, cause, verdict from retrain_requests where cause is not null order by 1",
    )[1]


def test_from_the_first_night_to_the_second_stable_one(ready: Session, nights: Replay) -> None:
    first, *_, last = (nights.batch_ids[place - 1] for place in SHOCKED)
    go(ready, nights, 1)
    assert told(ready, "population") == []
    go(ready, nights, 2)
    assert told(ready, "population") == [[first, first, 1, "open", "metrics"]]
    assert requests(ready) == [[first, "population", "withheld"]]
    go(ready, nights, 3)
    assert told(ready, "population") == [[first, last, 2, "open", "metrics"]]
    assert requests(ready)[1:] == [[last, "population", "asked"]]

    go(ready, nights, 4)
    blanked = nights.batch_ids[BLANKED - 1]
    assert told(ready, "bad_data") == [[blanked, blanked, 1, "open", "metrics"]]
    assert told(ready, "population")[0][:4] == [first, last, 2, "open"]  # one stable night so far
    ((message,),) = database.select_read_only(
        ready.connection, "select message from open_alerts where kind = 'bad_data'"
    )[1]
    assert message.startswith("Bad data: Monthly income (income_usd_per_month) is missing in ")
    still_open = (
        "select count(*) from open_alerts where kind = 'quality' and subject like 'income%'"
    )
    assert database.select_read_only(ready.connection, still_open)[1] == [
        [0]
    ]  # one alert for one cause
    assert len(requests(ready)) == 2  # bad data never asks for new models

    go(ready, nights, 5)
    assert told(ready, "population") == [[first, last, 2, "resolved", "metrics"]]
    go(ready, nights, 6)
    assert told(ready, "bad_data") == [[blanked, blanked, 1, "resolved", "metrics"]]


def test_what_a_person_resolved_stays_so_and_the_next_night_opens_another(
    ready: Session, nights: Replay
) -> None:
    first, second = (nights.batch_ids[place - 1] for place in SHOCKED)
    go(ready, nights, 1, 2)
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute("UPDATE alerts SET state = 'resolved', changed_by = 'ann'")
    update_alerts(ready)
    assert told(ready, "population") == [[first, first, 1, "resolved", "ann"]]
    go(ready, nights, 3)
    assert told(ready, "population") == [
        [first, first, 1, "resolved", "ann"],
        [second, second, 1, "open", "metrics"],
    ]


def test_acknowledged_is_brought_up_to_date_and_stays_acknowledged(
    ready: Session, nights: Replay
) -> None:
    first, second = (nights.batch_ids[place - 1] for place in SHOCKED)
    go(ready, nights, 1, 2)
    with database.transaction(ready.connection), ready.connection.cursor() as cursor:
        cursor.execute("UPDATE alerts SET state = 'acknowledged', changed_by = 'ann'")
    go(ready, nights, 3)
    assert told(ready, "population") == [[first, second, 2, "acknowledged", "ann"]]


def test_nights_in_any_order_end_in_the_same_alerts(ready: Session, nights: Replay) -> None:
    go(ready, nights, 1, 3, 5, 2)
    (first, last) = (nights.batch_ids[place - 1] for place in SHOCKED)
    assert [row[:4] for row in told(ready, "population")] == [
        [first, last, 2, "open"],
        [last, last, 1, "resolved"],  # what it was before the night between came in
    ]
    assert requests(ready)[-1][2] == "withheld"
    assert "asked" not in {row[2] for row in requests(ready)}


def test_a_lasting_cause_asks_once_for_a_batch(ready: Session, show) -> None:
    first, second, third = "2026-01-05", "2026-01-06", "2026-01-07"
    show(first, is_mature=True)
    show(second, "concept", is_mature=True)
    show(third, "concept", is_mature=True)
    assert ask_where_drift_lasts(ready, "concept") == third
    show("2026-01-08")  # its outcomes are not in: the next night finds the same
    assert ask_where_drift_lasts(ready, "concept") == third
    show(first, "concept")  # late outcomes: other figures, the same request
    assert ask_where_drift_lasts(ready, "concept") == third
    assert requests(ready) == [[third, "concept", "asked"]]


@pytest.mark.parametrize(
    ("asks_first", "then"), [("population", "concept"), ("concept", "population")]
)
def test_no_cause_asks_within_the_cooldown_of_another_however_late_outcomes_come(
    ready: Session, show, asks_first: str, then: str
) -> None:
    mature, latest = ("2025-11-05", "2025-11-06"), ("2026-01-05", "2026-01-06")
    batch = {"concept": mature[1], "population": latest[1]}
    for night in mature:
        show(night, "concept", is_mature=True)
    for night in latest:
        show(night, "population")
    assert ask_where_drift_lasts(ready, asks_first) == batch[asks_first]
    assert ask_where_drift_lasts(ready, then) is None
    show("2026-01-13", "population")  # the seventh night
    assert ask_where_drift_lasts(ready, then) is None
    show("2026-01-14", "population")
    batch["population"] = "2026-01-14"
    assert ask_where_drift_lasts(ready, then) == batch[then]
