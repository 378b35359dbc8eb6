"""Alerts on quarantined rows: raised at the check, and resolved by corrections and good nights."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from loan_scoring import database, settings
from loan_scoring.contract.notifications import Channel
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.corrections import replay_corrections
from loan_scoring.ingest.spreadsheet import export_quarantine
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.alerts.delivery import deliver_alerts
from loan_scoring.monitoring.alerts.store import update_alerts
from loan_scoring_web.pages.batch import read_batch_page
from loan_scoring_web.pages.templating import render_template

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
LEVEL = '<script>new "type"\u202e'
SUBJECT = "unknown_level:loan_type"
MESSAGE = (
    "Type of loan (loan_type): the rule unknown_level put 30 of 1,000 rows (3%) into quarantine, "
    "no usual share is known yet: a text of 19 characters (letters, blanks, signs, invisible ones) "
    "in 30 rows"
)


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def with_level(source: Path, target: Path, rows: int, level: str = LEVEL) -> Path:
    """Copy a file; its first rows have an unknown level in the column of the type of the loan."""
    found = pd.read_csv(source, dtype=str, keep_default_na=False)
    found.loc[: rows - 1, "loan_type"] = level
    found.to_csv(target, index=False)
    return target


@pytest.fixture
def bad_night(empty: Session, drops: Replay, tmp_path: Path) -> Session:
    """A session after a night of which 3 % have a new type of loan."""
    ingest_batch(empty, NIGHT, with_level(drops.application_files[NIGHT], tmp_path / "x.csv", 30))
    return empty


def test_new_level_is_published_and_told(bad_night: Session) -> None:
    assert select(bad_night, "select state, quarantined from batches") == [["published", 30]]
    assert select(
        bad_night, "select severity, kind, subject, message from open_alerts"
    ) == [["warning", "quality", SUBJECT, MESSAGE]]  # fmt: skip
    assert select(
        bad_night, "select expectation, column_name, is_success, observed, unexpected_count"
        " from quality where expectation ~ '^quarantined' order by 1"
    ) == [
        [f"quarantined:{SUBJECT}", "loan_type", False, 0.03, 30],
        ["quarantined_critical", None, True, 0.03, 30],
    ]  # fmt: skip
    page = settings.quality_page_path("loan_default", NIGHT, 1).read_text()
    assert f"<td>quarantined:{SUBJECT}</td><td>warning</td><td>30</td><td>3.000%</td>" in page
    assert "script>new" not in page


def test_page_of_the_batch_shows_share_and_usual_share(bad_night: Session) -> None:
    found = read_batch_page(bad_night, NIGHT)
    assert found is not None
    assert [(each["rule"], each["rows"], each["usual_share"]) for each in found["rules"]] == [
        (SUBJECT, 30, None)
    ]
    page = render_template(
        "batch.html", base="", airflow="", portfolio="loan_default", portfolios=[], user="ann",
        is_operator=True, is_admin=False, active="batches", plotly_js="", **found,
    )  # fmt: skip
    assert f'<td>{SUBJECT}</td><td class="n">30</td><td class="n">3.00 %</td>' in page


def test_warning_is_delivered_although_the_batch_is_not_measured(bad_night: Session) -> None:
    channel = Channel(name="mail", kind="smtp", connection="c", recipients=["a@lender.example"])
    contract = bad_night.contract.model_copy(update={"notifications": [channel]})
    told: list[str] = []
    deliver_alerts(
        Session(contract, bad_night.connection), lambda _, sent: told.append(sent.text), NIGHT
    )
    assert len(told) == 1
    assert MESSAGE in told[0]


def test_refused_night_tells_the_level_too(empty: Session, drops: Replay, tmp_path: Path) -> None:
    path = with_level(drops.application_files[NIGHT], tmp_path / "x.csv", 200, "type4")
    with pytest.raises(SourceError, match=r"200 of 1,000 rows broke a rule \(unknown_level:loan"):
        ingest_batch(empty, NIGHT, path)
    assert select(empty, "select count(*) from quarantine") == [[0]]
    critical, warning = select(
        empty, "select severity, subject, message from open_alerts order by severity"
    )
    assert critical[:2] == ["critical", "batch"]
    assert warning[:2] == ["warning", SUBJECT]
    assert warning[2].endswith("a text of 5 characters (letters, digits) in 200 rows")
    page = settings.quality_page_path("loan_default", NIGHT, 1).read_text()
    assert "<td>quarantined_critical</td><td>critical</td>" in page
    ingest_batch(empty, NIGHT, drops.application_files[NIGHT])
    assert select(empty, "select count(*) from open_alerts") == [[0]]


def test_corrected_rows_resolve_the_alert(bad_night: Session, tmp_path: Path) -> None:
    sheet, mended = tmp_path / "sheet.csv", tmp_path / "mended.csv"
    with sheet.open("w", newline="") as out:
        export_quarantine(bad_night, NIGHT, out)
    with sheet.open(newline="", encoding="utf-8-sig") as text:
        header, *rows = csv.reader(text)
    place = header.index("loan_type")
    for count, is_open in ((20, True), (30, False)):
        for row in rows[:count]:
            row[place] = "type1"
        with mended.open("w", newline="") as out:
            csv.writer(out).writerows([header, *rows[:count]])
        replay_corrections(bad_night, NIGHT, mended)
        found = select(bad_night, "select message from open_alerts")
        assert bool(found) == is_open
        if is_open:
            assert "10 of 1,000 rows (1%)" in found[0][0]
        rows = rows[count:] if is_open else rows


def test_two_good_nights_resolve_the_alert(bad_night: Session, drops: Replay) -> None:
    for batch_id, is_open in zip(drops.batch_ids[1:3], (True, False), strict=True):
        ingest_batch(bad_night, batch_id, drops.application_files[batch_id])
        update_alerts(bad_night)
        found = select(bad_night, f"select 1 from open_alerts where subject = '{SUBJECT}'")
        assert bool(found) == is_open


def test_usual_share_is_that_of_the_files_as_they_landed(
    bad_night: Session, tmp_path: Path
) -> None:
    """A night whose rows were corrected by hand counts as it landed."""
    test_corrected_rows_resolve_the_alert(bad_night, tmp_path)
    with database.transaction(bad_night.connection):
        found = database.rows(
            bad_night.connection, "select_last_quarantine", batch_id="2026-01-06", nights=14
        )
    assert found == [{"received": 1000, "quarantined": 30, "rules": {SUBJECT: 30}}]
