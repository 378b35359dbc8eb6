"""Scanned pages on record: corrections, the file for the ingest, rights, erasure, retention."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database.expired_files import remove_expired_files
from loan_scoring.database.session import Session
from loan_scoring.errors import GoneError, MissingError, SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.landing import find_applications_file
from loan_scoring.monitoring.scans import watch_scans
from loan_scoring.privacy.erase import erase_loan
from loan_scoring.privacy.held import export_loan
from loan_scoring.scans.corrections import (
    correct_page,
    crops_of_page,
    read_page,
    refused_pages,
    waiting_pages,
)
from loan_scoring.scans.fields import judge_page
from loan_scoring.scans.landing import files_to_ingest, land_pages
from loan_scoring.scans.layout import form_layout
from loan_scoring.scans.recognise import Reading
from loan_scoring.scans.records import (
    GONE,
    dates_to_read,
    finish_file,
    record_page,
    refuse_gone,
    scans_folder,
)
from scan_texts import TEXTS

pytestmark = pytest.mark.integration

BY, NIGHT = "cli:tests", "2026-01-05"
PICTURE = b"a picture"


@pytest.fixture
def here(empty: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """An empty portfolio with a data folder of its own, in which a scan lies."""
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    folder = scans_folder("loan_default", NIGHT)
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(PICTURE)
    return empty


def record(
    session: Session, page: int = 1, name: str = "a.jpg", content: bytes = PICTURE, **texts: str
) -> int:
    """Record a page with the readings of TEXTS, of which some differ, and return its number."""
    contract: Contract = session.contract
    layout = form_layout(contract)
    readings = []
    for box in layout.boxes:
        text = texts.get(box.column.name, TEXTS[box.column.name])
        readings.append(Reading(text, text, 0.99, bool(text), False))
    row = {
        "batch_id": NIGHT, "file_name": name, "sha256": hashlib.sha256(content).hexdigest(),
        "page": page, "form_code": layout.code,
    }  # fmt: skip
    record_page(session, row, judge_page(contract, layout, readings), {"dpi": 200.0})
    return column(session, "select max(scan_id) from scans")[0]


def column(session: Session, query: str) -> list[Any]:
    return [row[0] for row in database.select_read_only(session.connection, query)[1]]


def test_certain_pages_become_applications_and_doubtful_ones_wait(here: Session) -> None:
    record(here)
    waiting = record(here, 2, loan_id="25592", income_usd_per_month="5O40")
    assert [(row["scan_id"], row["doubtful"]) for row in waiting_pages(here)] == [
        (waiting, ["income_usd_per_month"])
    ]
    assert land_pages(here, NIGHT, BY) == (f"{NIGHT}.csv", 1)
    landed = ingest_batch(here, NIGHT, find_applications_file(here, NIGHT), BY)
    assert (landed.accepted, landed.quarantined) == (1, 0)
    query = "select income_usd_per_month, ltv_percent, interest_rate_percent from applications"
    assert database.select_read_only(here.connection, query)[1] == [[5040, 79.10958904, None]]
    # Corrected, it is a row of the next revision of the same batch.
    done = correct_page(
        here, waiting, {"income_usd_per_month": "5040"}, {"income_usd_per_month": "5O40"}, BY
    )
    assert (done["state"], done["doubtful"]) == ("corrected", [])
    assert land_pages(here, NIGHT, BY) == (f"{NIGHT}.csv", 2)
    assert ingest_batch(here, NIGHT, find_applications_file(here, NIGHT), BY).accepted == 2
    assert land_pages(here, NIGHT, BY) == (f"{NIGHT}.csv", 2)
    assert column(here, "select count(*) from scan_deliveries") == [2]
    assert ingest_batch(here, NIGHT, find_applications_file(here, NIGHT), BY).is_unchanged


def test_a_correction_is_on_record(here: Session) -> None:
    scan = record(here, income_usd_per_month="5O40")
    given, seen = {"income_usd_per_month": "5040"}, {"income_usd_per_month": "5O40"}
    correct_page(here, scan, given, seen, "airflow:ann")
    page = read_page(here, scan)
    assert page["fields"]["income_usd_per_month"]["text"] == "5040"
    assert page["fields"]["income_usd_per_month"]["read"] == "5O40"
    (made,) = page["corrections"]
    assert (made["before"], made["after"], made["corrected_by"]) == ("5O40", "5040", "airflow:ann")
    query = "select details from audit_log where action = 'scan.correct'"
    (details,) = column(here, query)
    assert details["columns"] == ["income_usd_per_month"]
    assert "5040" not in str({**details, "sha256": ""})


@pytest.mark.parametrize(
    ("texts", "seen", "message"),
    [
        ({"income_usd_per_month": "lots"}, {"income_usd_per_month": "5O40"}, "not_a_number"),
        ({"income_usd_per_month": "5040"}, {"income_usd_per_month": "9"}, "corrected meanwhile"),
        ({"ghost": "1"}, {"ghost": "1"}, "has no field ghost"),
        (
            {"income_usd_per_month": "5040", "loan_amount_usd": "1"},
            {"income_usd_per_month": "5O40", "loan_amount_usd": "346500"},
            "ltv_is_amount_over_value",
        ),
    ],
)
def test_a_correction_that_breaks_a_rule_changes_nothing(
    here: Session, texts: dict[str, str], seen: dict[str, str], message: str
) -> None:
    scan = record(here, income_usd_per_month="5O40")
    with pytest.raises(StateError, match=message):
        correct_page(here, scan, texts, seen, BY)
    assert read_page(here, scan)["corrections"] == []
    assert read_page(here, scan)["state"] == "waiting"


def test_a_certain_page_and_an_older_reading_are_not_corrected(here: Session) -> None:
    certain = record(here)
    older = record(here, 2, credit_score="x")
    record(here, 2, content=b"scanned again", credit_score="x")
    same = {"credit_score": "698"}
    with pytest.raises(StateError, match="does not wait for a person"):
        correct_page(here, certain, same, same, BY)
    with pytest.raises(StateError, match="read again since"):
        correct_page(here, older, same, {"credit_score": "x"}, BY)
    with pytest.raises(MissingError, match="no scan 99"):
        correct_page(here, 99, same, same, BY)


@pytest.mark.parametrize(
    "statement",
    ["update scan_corrections set after = 'x'", "update scan_deliveries set rows = 2"],
)
def test_corrections_and_deliveries_are_not_changed_afterwards(
    here: Session, statement: str
) -> None:
    with pytest.raises(psycopg2.Error, match="append-only"), database.transaction(here.connection):
        here.connection.cursor().execute(statement)


def test_another_delivery_of_the_date_is_never_replaced(here: Session) -> None:
    record(here)
    other = settings.landing_dir("loan_default") / "applications" / f"{NIGHT}.csv"
    other.parent.mkdir(parents=True)
    other.write_text("ID\n1\n")
    with pytest.raises(SourceError, match=r"not made of scans.*files: several"):
        land_pages(here, NIGHT, BY)
    assert other.read_text() == "ID\n1\n"


def test_a_picture_that_was_replaced_is_not_shown(here: Session) -> None:
    page = read_page(here, record(here, income_usd_per_month="5O40"))
    (scans_folder("loan_default", NIGHT) / "a.jpg").write_bytes(b"another picture")
    with pytest.raises(GoneError, match="was removed or replaced"):
        crops_of_page(here, page, page["doubtful"])


def test_erasure_takes_pages_pictures_and_corrections(here: Session) -> None:
    scan = record(here, income_usd_per_month="5O40")
    other = record(here, 1, "b.jpg", loan_id="25592", term_months="240")
    correct_page(here, scan, {"income_usd_per_month": "5040"}, {"income_usd_per_month": "5O40"}, BY)
    land_pages(here, NIGHT, BY)
    ingest_batch(here, NIGHT, find_applications_file(here, NIGHT), BY)
    held = export_loan(here, 25591)
    assert {"scans", "scan_corrections"} <= held["tables"].keys()
    picture = f"landing/loan_default/scans/{NIGHT}/a.jpg"
    assert {"file": picture, "pages": [1]} in held["files"]
    done = erase_loan(here, 25591, "asked for", BY)
    assert picture in [row["path"] for row in done.files]
    assert not (settings.data_dir() / picture).exists()
    assert column(here, "select scan_id from scans") == [other]
    assert column(here, "select count(*) from scan_corrections") == [0]
    # The file was rewritten by the erasure, and is still known as ours.
    assert land_pages(here, NIGHT, BY) == (f"{NIGHT}.csv", 1)
    assert (
        "25591"
        not in (settings.landing_dir("loan_default") / "applications" / f"{NIGHT}.csv").read_text()
    )
    with pytest.raises(MissingError, match="nothing is held"):
        export_loan(here, 25591)


def test_retention_removes_pictures_and_rows_of_dropped_months(here: Session) -> None:
    record(here)
    picture = scans_folder("loan_default", NIGHT) / "a.jpg"
    assert remove_expired_files(here, 30) == []
    with database.transaction(here.connection):
        here.connection.cursor().execute(
            "insert into dropped_partitions (partition, table_name, month, rows, bytes,"
            " keep_days, dropped_by) values ('p', 'applications', %s, 0, 0, 30, 'cli:tests')",
            (NIGHT[:7],),
        )
    assert remove_expired_files(here, 30) == [picture]
    assert not picture.exists()
    assert column(here, "select count(*) from scans") == [0]


def test_pages_of_a_file_that_was_replaced_do_not_count(here: Session) -> None:
    record(here)
    record(here, 2, loan_id="25592")
    record(here, 1, content=b"scanned again", loan_id="25593")
    assert land_pages(here, NIGHT, BY) == (f"{NIGHT}.csv", 1)
    path = settings.landing_dir("loan_default") / "applications" / f"{NIGHT}.csv"
    assert "25593" in path.read_text()
    assert "25592" not in path.read_text()


def test_a_page_that_another_process_read_meanwhile_is_not_read_twice(here: Session) -> None:
    scan = record(here, income_usd_per_month="5O40")
    correct_page(here, scan, {"income_usd_per_month": "5040"}, {"income_usd_per_month": "5O40"}, BY)
    assert record(here, income_usd_per_month="5O40") == scan
    assert waiting_pages(here) == []


def test_a_waiting_page_whose_file_was_removed_waits_no_longer(here: Session) -> None:
    record(here, income_usd_per_month="5O40")
    refuse_gone(here, NIGHT)
    assert len(waiting_pages(here)) == 1
    (scans_folder("loan_default", NIGHT) / "a.jpg").unlink()
    refuse_gone(here, NIGHT)
    assert waiting_pages(here) == []
    assert refused_pages(here) == []  # nothing that a clerk could scan again lies there
    assert column(here, "select reason from scans where state = 'refused'") == [GONE]


def test_a_date_is_read_while_it_has_something_new(here: Session) -> None:
    assert dates_to_read(here) == [NIGHT]
    scans_folder("loan_default", "not a date").mkdir()
    record(here)
    row = {"batch_id": NIGHT, "form_code": form_layout(here.contract).code}
    finish_file(here, row | {"sha256": hashlib.sha256(PICTURE).hexdigest()}, 1)
    assert dates_to_read(here) == [NIGHT]  # corrections of the last days may not have landed
    with database.transaction(here.connection):
        here.connection.cursor().execute("update scans set read_at = now() - interval '8 days'")
    assert dates_to_read(here) == []
    (scans_folder("loan_default", NIGHT) / "b.jpg").write_bytes(b"another page")
    assert dates_to_read(here) == [NIGHT]


def test_a_file_is_ingested_again_only_if_it_is_new_of_a_date_that_is_over(here: Session) -> None:
    record(here)
    land_pages(here, NIGHT, BY)
    assert files_to_ingest(here, [NIGHT], datetime(2026, 1, 5, 18, tzinfo=UTC)) == []
    (late,) = files_to_ingest(here, [NIGHT])
    assert late["batch_id"] == NIGHT
    ingest_batch(here, NIGHT, find_applications_file(here, NIGHT), BY)
    assert files_to_ingest(here, [NIGHT]) == []
    record(here, 2, loan_id="25592")
    land_pages(here, NIGHT, BY)
    assert len(files_to_ingest(here, [NIGHT])) == 1


def alerts(session: Session) -> list[tuple[str, str]]:
    rows = database.select_read_only(
        session.connection, "select subject, state from alerts where kind = 'scans' order by 1, 2"
    )[1]
    return [tuple(row) for row in rows]


def test_pages_left_of_a_date_that_is_over_are_one_alert_until_they_are_done(
    here: Session,
) -> None:
    scan = record(here, income_usd_per_month="5O40")
    watch_scans(here, NIGHT, datetime(2026, 1, 5, 18, tzinfo=UTC))
    assert alerts(here) == []  # there is time until the night
    watch_scans(here, NIGHT)
    watch_scans(here, NIGHT)
    assert alerts(here) == [("pages", "open")]
    (message,) = column(here, "select message from alerts where kind = 'scans'")
    assert f"{NIGHT}: 1 page waiting for a person" in message
    correct_page(here, scan, {"income_usd_per_month": "5040"}, {"income_usd_per_month": "5O40"}, BY)
    watch_scans(here, NIGHT)
    assert alerts(here) == [("pages", "resolved")]
