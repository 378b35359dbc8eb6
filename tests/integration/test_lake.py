"""Months are exported as Parquet, queried beside the database, and rewritten by an erasure."""

import json
import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.lake import ROWS, export_month
from loan_scoring.database.retention import drop_expired
from loan_scoring.database.session import Session
from loan_scoring.errors import MissingError, StateError
from loan_scoring.privacy.erase import erase_loan
from loan_scoring.privacy.held import export_loan

pytestmark = pytest.mark.integration

MONTH, NIGHT = "2026-01", "2026-01-05"
BY = "cli:tests"
LATER = date(2026, 12, 1)
EXTRAS = os.environ.get("LOAN_SCORING_EXTRAS_PYTHON")


def ask(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def url_of(session: Session) -> str:
    known = session.connection.info
    return f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"


@pytest.fixture
def lake(scored: Session, tmp_path: Path) -> Path:
    """A folder to which the month of the scored night was exported."""
    folder = tmp_path / "lake"
    assert (
        main(["export", "--month", MONTH, "--to", str(folder), "--database", url_of(scored)]) == 0
    )
    scored.connection.rollback()
    return folder


def file_of(lake: Path, table: str) -> Path:
    return lake / "loan_default" / table / f"month={MONTH}" / "rows.parquet"


def test_export_has_every_row_with_types_and_comments(scored: Session, lake: Path) -> None:
    for table in ROWS:
        found = pq.read_table(file_of(lake, table))
        expected = {
            "applications": f"select count(*) from applications where batch_id = '{NIGHT}'",
            "scores": f"select count(*) from scores where batch_id = '{NIGHT}'",
            "outcomes": "select count(*) from outcomes join applications using (loan_id)"
            f" where batch_id = '{NIGHT}'",
            "drift": "select count(*) from drift",
        }[table]
        assert [[found.num_rows]] == ask(scored, expected), table
    scores = pq.read_table(file_of(lake, "scores"))
    assert str(scores.schema.field("default_probability").type) == "double"
    comment = scores.schema.field("decision").metadata[b"comment"].decode()
    assert comment
    assert scores.schema.metadata[b"comment"]
    rows = ask(scored, "select loan_id, default_probability, persona from scores order by loan_id")
    names = ["loan_id", "default_probability", "persona"]
    assert [list(row.values()) for row in scores.select(names).to_pylist()] == rows
    record = ask(scored, "select table_name, rows, exported_by from exports order by 1")
    assert [row[0] for row in record] == sorted(ROWS)
    assert ask(scored, "select subject from audit_log where action = 'month.export'") == [
        [f"{lake} {MONTH}"]
    ]


def test_month_without_rows_and_a_place_that_cannot_be_written_are_one_line(
    scored: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for month, to in (("2025-12", str(tmp_path)), (MONTH, "/proc/lake"), (MONTH, "nowhere://x/y")):
        arguments = ["export", "--month", month, "--to", to, "--database", url_of(scored)]
        assert main(arguments) == 1
        error = capsys.readouterr().err.strip()
        assert len(error.splitlines()) == 1, error
    assert ask(scored, "select count(*) from exports") == [[0]]
    with pytest.raises(SystemExit):
        main(["export", "--month", "2026-13", "--to", "x"])


def test_retention_exports_before_it_drops_and_drops_nothing_that_it_cannot_export(
    scored: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loan_scoring.database.retention._refuse_too_little", lambda *_: None)
    rows = ask(scored, f"select count(*) from scores where batch_id = '{NIGHT}'")
    with pytest.raises(StateError, match="cannot be written"):
        drop_expired(scored, 30, BY, LATER, export_to="/proc/lake")
    assert ask(scored, "select count(*) from dropped_partitions") == [[0]]
    folder = tmp_path / "lake"
    dropped = drop_expired(scored, 30, BY, LATER, export_to=str(folder))
    assert {each.table for each in dropped} >= {"applications", "scores"}
    assert [[pq.read_metadata(file_of(folder, "scores")).num_rows]] == rows
    with pytest.raises(MissingError, match="has no scores of 2026-01"):
        export_month(scored, MONTH, str(folder), BY)


def test_erased_loan_leaves_exports(own_data: Path, scored: Session, lake: Path) -> None:
    ((loan,),) = ask(scored, f"select loan_id from scores where batch_id = '{NIGHT}' limit 1")
    held = export_loan(scored, loan)
    assert {each["file"] for each in held["files"]} >= {
        str(file_of(lake, "applications")), str(file_of(lake, "scores"))
    }  # fmt: skip
    before = {table: pq.read_metadata(file_of(lake, table)).num_rows for table in ROWS}
    done = erase_loan(scored, loan, "asked for", BY)
    after = {table: pq.read_table(file_of(lake, table)) for table in ROWS}
    assert all(loan not in table.column("loan_id").to_pylist()
               for name, table in after.items() if name != "drift")  # fmt: skip
    assert after["scores"].num_rows == before["scores"]
    assert int(done.pseudonym) in after["scores"].column("loan_id").to_pylist()
    assert after["applications"].num_rows == before["applications"] - 1
    assert str(file_of(lake, "scores")) in {each["path"] for each in done.files}
    assert after["scores"].schema.field("decision").metadata


def lake_query(session: Session, folder: Path, query: str) -> subprocess.CompletedProcess[str]:
    if EXTRAS is None:
        pytest.skip("make test-extras runs it, with a Python that has the extra lake")
    command = [EXTRAS, "-m", "loan_scoring.cli", "sql", "--lake", str(folder), "-c", query,
               "--database", url_of(session), "--json"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.extras
def test_auditor_finds_a_loan_of_a_dropped_month_and_of_a_current_one_in_one_query(
    scored: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loan_scoring.database.retention._refuse_too_little", lambda *_: None)
    folder = tmp_path / "lake"
    query = (
        "select loan_id, decision, default_probability from current_scores"
        f" where batch_id = '{NIGHT}' order by loan_id limit 5"
    )
    before = ask(scored, query)
    both = "select count(*), count(distinct loan_id) from applications"
    counts = ask(scored, both)
    drop_expired(scored, 30, BY, LATER, export_to=str(folder))
    scored.connection.commit()
    assert ask(scored, query) == []
    done = lake_query(scored, folder, query)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == before
    done = lake_query(scored, folder, both)
    assert json.loads(done.stdout)["rows"] == counts


@pytest.mark.extras
@pytest.mark.parametrize(
    "query",
    [
        "delete from scores",
        "select * from read_csv('/etc/passwd')",
        "copy (select 1) to '/tmp/written.csv'",
        "attach '/tmp/other.db'",
        "set enable_external_access = true",
        "selec 1",
    ],
)
def test_query_of_the_lake_reads_only_the_lake_and_the_database(
    scored: Session, lake: Path, query: str
) -> None:
    done = lake_query(scored, lake, query)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.extras
def test_place_without_exports_is_named(scored: Session, lake: Path, tmp_path: Path) -> None:
    done = lake_query(scored, tmp_path / "other", "select 1")
    assert done.returncode == 1
    assert f"there are exports at {lake}" in done.stderr
