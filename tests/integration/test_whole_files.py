"""Only a whole file becomes a batch; a date that is declared empty becomes an empty batch."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import PassingSourceError, SourceError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts
from loan_scoring.monitoring.status import read_status
from loan_scoring.monitoring.status_text import render_status
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

NIGHT, NEXT, EMPTY_NIGHT = "2026-01-05", "2026-01-06", "2026-01-07"
TOTALS = {"loan_amount_usd": "amount", "income_usd_per_month": "income"}


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def with_manifest(session: Session, **fields: Any) -> Session:
    policy = type(session.contract.ingest).model_validate({"manifest": fields})
    return Session(session.contract.model_copy(update={"ingest": policy}), session.connection)


def column_sum(contract: Contract, path: Path, name: str) -> float:
    header, *lines = [line.split(",") for line in path.read_text().splitlines()]
    at = header.index(contract.by_name[name].source)
    return sum(float(line[at]) for line in lines if line[at])


@pytest.fixture
def delivered(drops: Replay, tmp_path: Path, loan_default: Contract) -> Path:
    """A copy of the first night with its manifest."""
    path = tmp_path / f"{NIGHT}.csv"
    path.write_bytes(drops.application_files[NIGHT].read_bytes())
    say(path, rows=1000, **{f: column_sum(loan_default, path, c) for c, f in TOTALS.items()})
    return path


def say(path: Path, **figures: Any) -> None:
    figures.setdefault("sha256", hashlib.sha256(path.read_bytes()).hexdigest().upper())
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(figures))


def test_a_file_that_agrees_with_its_manifest_is_published(empty: Session, delivered: Path) -> None:
    landed = ingest_batch(with_manifest(empty, totals=TOTALS), NIGHT, delivered)
    assert landed.accepted == 1000


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rows": 1001}, "the file has 1,000 rows and the manifest 1,001"),
        ({"sha256": "0" * 64}, "its SHA-256 is .* and the manifest 000000000000"),
        ({"amount": 1.0}, "the sum of loan_amount_usd is [0-9,.]+ and the manifest 1.00"),
    ],
)
def test_a_file_that_differs_from_its_manifest_leaves_nothing(
    empty: Session, delivered: Path, change: dict[str, Any], line: str
) -> None:
    told = json.loads(delivered.with_name(f"{NIGHT}.csv.manifest.json").read_text())
    say(delivered, **{**told, **change})
    with pytest.raises(PassingSourceError, match=line):
        ingest_batch(with_manifest(empty, totals=TOTALS), NIGHT, delivered)
    assert select(empty, "select count(*) from batches") == [[0]]
    assert select(empty, "select count(*) from applications") == [[0]]


def test_half_a_file_is_seen_by_its_manifest(empty: Session, delivered: Path) -> None:
    """A file that is cut between two rows: nothing but the manifest can tell."""
    lines = delivered.read_text().splitlines(keepends=True)
    delivered.write_text("".join(lines[:601]))
    with pytest.raises(PassingSourceError, match=r"600 rows .* SHA-256 .* sum of"):
        ingest_batch(with_manifest(empty, totals=TOTALS), NIGHT, delivered)


def test_a_file_cut_off_in_a_record_leaves_nothing(empty: Session, delivered: Path) -> None:
    delivered.write_bytes(delivered.read_bytes()[:-40])
    with pytest.raises(SourceError, match="the last record, line 1001, is cut off"):
        ingest_batch(empty, NIGHT, delivered)
    assert select(empty, "select count(*) from batches") == [[0]]


def test_quarantined_rows_count_in_the_manifest(
    empty: Session, delivered: Path, loan_default: Contract
) -> None:
    text = delivered.read_text()
    delivered.write_text(text + text.splitlines()[-1] + "\n")  # the last loan twice
    amount = column_sum(loan_default, delivered, "loan_amount_usd")
    say(delivered, rows=1001, amount=amount)
    session = with_manifest(empty, totals={"loan_amount_usd": "amount"})
    assert ingest_batch(session, NIGHT, delivered).quarantined >= 1


def test_outcomes_are_compared_with_their_manifest(
    scored: Session, drops: Replay, tmp_path: Path
) -> None:
    path = tmp_path / "2026-01-08.csv"
    path.write_bytes(drops.outcome_files[0].read_bytes())
    say(path, rows=999)
    session = with_manifest(scored, totals=TOTALS)
    with pytest.raises(PassingSourceError, match="1,000 rows and the manifest 999"):
        take_outcomes(session, path)
    say(path, rows=1000)
    assert take_outcomes(session, path).accepted == 1000


@pytest.fixture(params=["marker", "header", "nothing", "manifest alone"])
def declared(request: pytest.FixtureRequest, tmp_path: Path, drops: Replay) -> Path:
    """Every way to declare a date empty."""
    if request.param == "marker":
        path = tmp_path / f"{EMPTY_NIGHT}.EMPTY"
        path.touch()
        return path
    path = tmp_path / f"{EMPTY_NIGHT}.csv"
    header = drops.application_files[NIGHT].read_text().partition("\n")[0]
    path.write_text(f"{header}\n" if request.param == "header" else "")
    say(path, rows=0, amount=0, income=0)
    if request.param == "manifest alone":
        path.unlink()
        return path.with_name(f"{path.name}.manifest.json")
    return path


def test_a_declared_empty_night_is_published_scored_and_compared_to_nothing(
    scored: Session, drops: Replay, declared: Path
) -> None:
    session = with_manifest(scored, totals=TOTALS)
    landed = ingest_batch(session, EMPTY_NIGHT, declared)
    assert (landed.revision, landed.received) == (1, 0)
    assert ingest_batch(session, EMPTY_NIGHT, declared).is_unchanged
    run_id = score_batch(session, EMPTY_NIGHT)
    assert compare_batch(session, EMPTY_NIGHT) == {"applications": 0, "tests": 0, "alerts": 0}
    assert ask_where_drift_lasts(session, "population", EMPTY_NIGHT) is None
    state, nights = read_status(session), 2
    assert [row["scored"] for row in state["batches"]][1:] == [0, None]
    assert len(state["batches"]) == nights + 1  # with the history
    assert f"{EMPTY_NIGHT}  none" in render_status(state)
    assert select(session, "select count(*) from open_alerts") == [[0]]
    assert select(
        session, f"select state, is_current from scoring_runs where scoring_run_id = '{run_id}'"
    ) == [["published", True]]
    # The file that comes after all is a revision as any other.
    assert ingest_batch(scored, EMPTY_NIGHT, drops.application_files[EMPTY_NIGHT]).revision == 2


def test_an_empty_night_does_not_count_as_a_usual_volume(
    scored: Session, drops: Replay, tmp_path: Path
) -> None:
    for day in range(10, 16):
        path = tmp_path / f"2026-01-{day}.EMPTY"
        path.touch()
        ingest_batch(scored, f"2026-01-{day}", path)
    path = tmp_path / "2026-01-16.csv"
    path.write_bytes(drops.application_files[NEXT].read_bytes())
    ingest_batch(scored, "2026-01-16", path)
    assert select(scored, "select count(*) from alerts where subject = 'batch'") == [[0]]


def test_a_file_without_rows_that_nobody_declared_empty_is_refused(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    path = tmp_path / f"{NIGHT}.csv"
    path.write_text(drops.application_files[NIGHT].read_text().partition("\n")[0] + "\n")
    with pytest.raises(SourceError, match="has a header but no rows"):
        ingest_batch(empty, NIGHT, path)
    say(path, rows=5)
    with pytest.raises(SourceError, match="has a header but no rows"):
        ingest_batch(with_manifest(empty), NIGHT, path)
