"""Dates without a file, files that nobody took and bytes that changed are seen and told."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.alerts.failures import record_stage_result
from loan_scoring.monitoring.alerts.handling import handle_alert
from loan_scoring.monitoring.alerts.landing import reconcile_landing
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
NOW = datetime(2026, 1, 9, 12, tzinfo=UTC)
"""Noon: the runs of the 5th to the 8th are over since the morning."""


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    folder = settings.landing_dir("loan_default")
    for kind in ("applications", "outcomes"):
        (folder / kind).mkdir(parents=True)
    return folder


@pytest.fixture
def put(landing: Path) -> Callable[..., Path]:
    def at(name: str, text: str, hours_ago: float = 24) -> Path:
        path = landing / name
        path.write_text(text)
        moment = (NOW - timedelta(hours=hours_ago)).timestamp()
        os.utime(path, (moment, moment))
        return path

    return at


@pytest.fixture
def taken(empty: Session, drops: Replay, put: Callable[..., Path]) -> Session:
    """A portfolio whose night of the 5th was taken from its landing folder."""
    text = drops.application_files[NIGHT].read_text()
    ingest_batch(empty, NIGHT, put(f"applications/{NIGHT}.csv", text))
    put(f"applications/{NIGHT}.csv.done", "")
    return empty


def findings(session: Session, now: datetime = NOW) -> list[tuple[str, str, str | None]]:
    return [(f.finding, f.subject, f.batch_id) for f in reconcile_landing(session, now)]


def alerts(session: Session) -> list[list]:
    return database.select_read_only(
        session.connection,
        "select subject, severity, state, batch_id, last_batch_id, batches from alerts"
        " where kind = 'landing' order by alert_id",
    )[1]


def test_a_folder_that_agrees_raises_nothing(taken: Session) -> None:
    assert findings(taken, datetime(2026, 1, 6, 12, tzinfo=UTC)) == []
    assert alerts(taken) == []


def test_dates_without_a_file_are_one_alert_that_ends_when_they_arrive(
    taken: Session, drops: Replay, put: Callable[..., Path]
) -> None:
    days = ["2026-01-06", "2026-01-07", "2026-01-08"]
    assert findings(taken) == [("missing", day, day) for day in days]
    assert alerts(taken) == [["missing", "critical", "open", days[0], days[2], 3]]
    shown = render_status(read_status(taken))
    assert "  missing   no file of applications for 2026-01-06" in shown
    assert "due have no file of applications: 2026-01-06 to 2026-01-08: ask" in shown
    for day in days:
        ingest_batch(taken, day, put(f"applications/{day}.EMPTY", ""))
    assert findings(taken) == []
    assert alerts(taken) == [["missing", "critical", "resolved", days[0], days[2], 3]]
    assert "landing folder" not in render_status(read_status(taken))


def test_a_date_is_not_missing_before_its_run_is_over(taken: Session) -> None:
    at_night = datetime(2026, 1, 9, 3, tzinfo=UTC)  # the run of the 8th began an hour ago
    assert [each[1] for each in findings(taken, at_night)] == ["2026-01-06", "2026-01-07"]
    ingest = taken.contract.ingest.model_copy(update={"deadline": "11:00"})
    waiting = Session(
        taken.contract.model_copy(update={"ingest": ingest}), taken.connection
    )  # at noon the run of the 8th has just given up
    assert [each[1] for each in findings(waiting)] == ["2026-01-06", "2026-01-07"]


def test_days_on_which_no_file_is_expected_are_not_missing(taken: Session) -> None:
    ingest = taken.contract.ingest.model_copy(update={"expected_on": ["monday", "wednesday"]})
    session = Session(taken.contract.model_copy(update={"ingest": ingest}), taken.connection)
    assert [each[1] for each in findings(session)] == ["2026-01-07"]


def test_files_that_nobody_took_are_told_with_the_reason(
    taken: Session, put: Callable[..., Path]
) -> None:
    put("applications/2026-01-06.csv", "late")
    put("applications/2026-01-07.csv.filepart", "never finished")
    put("applications/night of the 8th.csv", "misnamed")
    put("applications/2026-02-30.csv", "no date")
    put("outcomes/2026-01-08.csv", "late outcomes")
    put("outcomes/2026-01-08.correction.csv", "a late correction")
    put("outcomes/2026-01-09.csv", "outcomes of today", hours_ago=1)
    untaken = [each for each in findings(taken) if each[0] == "untaken"]
    assert untaken == [
        ("untaken", "applications/2026-01-06.csv", "2026-01-06"),
        ("untaken", "applications/2026-01-07.csv.filepart", None),
        ("untaken", "applications/2026-02-30.csv", None),
        ("untaken", "applications/night of the 8th.csv", None),
        ("untaken", "outcomes/2026-01-08.correction.csv", "2026-01-08"),
        ("untaken", "outcomes/2026-01-08.csv", "2026-01-08"),
    ]
    assert "2026-02-30.csv, its name is no date" in render_status(read_status(taken))


def test_bytes_that_change_after_a_batch_was_published_are_told(
    taken: Session, drops: Replay, put: Callable[..., Path]
) -> None:
    day = datetime(2026, 1, 6, 12, tzinfo=UTC)
    text = drops.application_files[NIGHT].read_text()
    assert findings(taken, day) == []
    other = put(f"applications/{NIGHT}.csv", text.replace(",", ";"), hours_ago=90)
    ((finding, subject, batch),) = findings(taken, day)
    assert (finding, batch) == ("changed", NIGHT)
    assert subject.startswith(f"applications/{NIGHT}.csv ")
    assert alerts(taken) == [["changed", "warning", "open", NIGHT, NIGHT, 1]]
    ingest_batch(taken, NIGHT, other)
    assert findings(taken, day) == []
    # The bytes of the first revision are not what readers see any more.
    put(f"applications/{NIGHT}.csv", text, hours_ago=89)
    assert [each[0] for each in findings(taken, day)] == ["changed"]


def test_outcomes_that_change_after_they_were_taken_are_told(
    taken: Session, drops: Replay, put: Callable[..., Path]
) -> None:
    day = datetime(2026, 1, 6, 12, tzinfo=UTC)
    text = drops.outcome_files[0].read_text()
    take_outcomes(taken, put("outcomes/2026-01-08.csv", text))
    assert findings(taken, day) == []
    put("outcomes/2026-01-08.csv", text[: len(text) // 2], hours_ago=23)
    assert [each[::2] for each in findings(taken, day)] == [("changed", "2026-01-08")]


def test_what_a_person_has_closed_stays_closed(taken: Session) -> None:
    findings(taken)
    ((alert,),) = database.select_read_only(
        taken.connection, "select alert_id from alerts where kind = 'landing'"
    )[1]
    handle_alert(taken, alert, "resolve", "cli:tests", "the lender was closed")
    assert findings(taken) == []
    later = NOW + timedelta(days=1)
    assert findings(taken, later) == [("missing", "2026-01-09", "2026-01-09")]
    assert [row[2] for row in alerts(taken)] == ["resolved", "open"]


def test_a_night_whose_failure_is_told_already_is_not_told_twice(taken: Session) -> None:
    record_stage_result(taken, "ingest", "2026-01-06", "2026-01-07", "run", ["land"])
    assert [each[1] for each in findings(taken)] == ["2026-01-07", "2026-01-08"]


def test_a_portfolio_without_recent_nights_is_not_in_use(taken: Session) -> None:
    assert findings(taken, NOW + timedelta(days=60)) == []


def test_a_night_of_long_ago_opens_no_window_of_missing_dates(
    taken: Session, put: Callable[..., Path]
) -> None:
    """Somebody tries the portfolio with an old date, and its nights begin weeks later."""
    ingest_batch(taken, "2026-02-20", put("applications/2026-02-20.EMPTY", ""))
    assert findings(taken, datetime(2026, 2, 21, 12, tzinfo=UTC)) == []
