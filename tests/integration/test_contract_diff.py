"""`contract diff` says what a change will do, and `portfolio reset` starts a portfolio anew."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.cli.main import main
from loan_scoring.database.audit import recent_entries, verify_chain
from loan_scoring.database.reset import reset_portfolio
from loan_scoring.database.session import Session, open_session
from loan_scoring.drafting.difference import compare_contract
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
COLUMNS = [("nr", "loan_id", "integer"), ("amount", "amount", "number"), ("job", "job", "category")]
RAW = {
    "portfolio": "lender",
    "title": "Loans",
    "owner": "risk",
    "columns": [
        {"source": source, "name": name, "label": name, "type": type_, "known": "application"}
        | ({"levels": ["fixed", "free"]} if type_ == "category" else {})
        for source, name, type_ in COLUMNS
    ],
    "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
    "decision": {"approve_below": 0.1, "decline_from": 0.3},
}


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    return new_database()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that writes the contract with some parts changed."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))

    def change(column: dict | None = None, **parts: object) -> None:
        columns = [
            each | column if column and each["name"] == column["name"] else each
            for each in RAW["columns"]
        ]
        (tmp_path / "lender.yaml").write_text(
            yaml.safe_dump(RAW | {"columns": columns} | parts, sort_keys=False)
        )

    change()
    return change


@pytest.fixture
def loans(tmp_path: Path) -> Path:
    path = tmp_path / "loans.csv"
    rows = [f"{n},{n}.50,fixed,{'bad' if n % 3 == 0 else 'paid'}" for n in range(1, 31)]
    path.write_text("\n".join(["nr,amount,job,status", *rows]) + "\n")
    return path


def effects(url: str) -> dict[str, str]:
    return {each["kind"]: each["what"] for each in compare_contract("lender", url)["effects"]}


def changed(url: str) -> list[tuple[str, object, object]]:
    found = compare_contract("lender", url)["changed"]
    return [(each["field"], each["stored"], each["now"]) for each in found]


def ingest(url: str, batch_id: str, path: Path) -> None:
    with open_session("lender", url, migrates=True) as session:
        ingest_batch(session, batch_id, path)


def test_nothing_is_stored_before_the_first_batch(write: Callable, url: str) -> None:
    assert "nothing is stored yet" in compare_contract("lender", url)["text"]


def test_unchanged_contract_does_nothing(write: Callable, url: str, loans: Path) -> None:
    ingest(url, "history", loans)
    result = compare_contract("lender", url)
    assert (result["changed"], result["effects"]) == ([], [])
    assert result["text"].splitlines()[-1] == "nothing is to be done"


def test_changed_range_is_a_new_revision_and_a_new_model(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, NIGHT, loans)
    write({"name": "amount", "range": [0, 100]})
    assert changed(url) == [("columns.amount.range", None, [0.0, 100.0])]
    assert set(effects(url)) == {"revision", "new model"}
    assert NIGHT in effects(url)["revision"]
    with open_session("lender", url) as session:  # as the difference says
        assert not ingest_batch(session, NIGHT, loans).is_unchanged


def test_changed_target_reads_outcomes_anew(write: Callable, url: str, loans: Path) -> None:
    ingest(url, "history", loans)
    write(target={"source": "status", "positive": ["paid"], "negative": ["bad"]})
    assert effects(url)["outcomes"] == "read anew from history, each when it is ingested again"


def test_changed_target_names_the_files_of_outcomes(write: Callable, url: str, loans: Path) -> None:
    ingest(url, NIGHT, loans)
    with open_session("lender", url) as session:
        take_outcomes(session, loans)
    write(target={"source": "status", "positive": ["paid"], "negative": ["bad"]})
    assert "outcomes-loans" in effects(url)["outcomes"]


def test_new_column_is_a_migration(write: Callable, url: str, loans: Path) -> None:
    ingest(url, NIGHT, loans)
    further = {
        "source": "age",
        "name": "age",
        "label": "Age",
        "type": "integer",
        "known": "application",
    }
    write(columns=[*RAW["columns"], further])
    assert "column age" in effects(url)["migration"]


def test_other_type_of_a_published_column_is_refused_with_what_to_do(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, NIGHT, loans)
    write({"name": "amount", "type": "category", "levels": "free"})
    found = effects(url)
    assert "migration" not in found
    assert "applications.amount is double precision, the contract says text" in found["refused"]
    assert "keep the column" in found["refused"]
    assert "`loan-scoring portfolio reset lender`" in found["refused"]
    assert set(found) == {"refused"}  # nothing else would happen


def test_status_shows_what_is_stored_although_the_contract_is_refused(
    write: Callable, url: str, loans: Path, capsys: pytest.CaptureFixture
) -> None:
    ingest(url, NIGHT, loans)
    write({"name": "amount", "type": "category", "levels": "free"})
    assert main(["status", "--portfolio", "lender", "--database", url]) == 1
    out = capsys.readouterr().out
    assert out.startswith("REFUSED   the schema of lender is behind its contract")
    assert f"\n{NIGHT} " in out


def test_fields_that_fit_nothing_promise_no_other_models(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, NIGHT, loans)
    write({"name": "amount", "optional": True, "max_null_share": 0.5})
    assert "the models are the same" in effects(url)["new model"]
    write({"name": "amount", "optional": True, "range": [0, 100]})
    assert "fits new models" in effects(url)["new model"]


def test_migrate_of_one_portfolio_leaves_the_others(
    write: Callable, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = yaml.safe_dump(RAW | {"portfolio": "other"})
    (tmp_path / "other.yaml").write_text(other)
    assert main(["migrate", "--portfolio", "lender", "--database", url]) == 0
    out = capsys.readouterr().out
    assert "lender: applied " in out
    assert "other" not in out
    assert ".sql" not in out


def test_thresholds_change_decisions_and_notifications_the_next_run(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, NIGHT, loans)
    channel = {"name": "ops", "kind": "slack", "connection": "slack"}
    write(decision={"approve_below": 0.2, "decline_from": 0.3}, notifications=[channel])
    assert {"decisions", "next run"} <= set(effects(url))
    assert ("decision.approve_below", 0.1, 0.2) in changed(url)


def test_contract_is_recorded_once_as_long_as_it_stays(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, "history", loans)
    ingest(url, "history", loans)
    night = loans.with_name("night.csv")
    night.write_text(loans.read_text().replace("\n", "\n9"))
    night.write_text(night.read_text().replace("9nr", "nr").rstrip("9"))
    ingest(url, NIGHT, night)
    with open_session("lender", url) as session:
        assert select(session, "SELECT batch_id FROM contracts") == [["history"]]


# Reset


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


def test_reset_needs_no_word_while_nothing_is_published(
    write: Callable, url: str, loans: Path
) -> None:
    write({"name": "loan_id", "type": "text"})
    with open_session("lender", url, migrates=True) as session, pytest.raises(SourceError):
        ingest_batch(session, NIGHT, loans.with_name("missing.csv"))
    write()
    assert reset_portfolio("lender", url, None, "cli:ann")["published_batches"] == 0
    ingest(url, NIGHT, loans)  # the key has its new type


def test_reset_of_published_batches_needs_the_name_again(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, "history", loans)
    artifact = settings.artifacts_dir("lender") / "model.skops"
    artifact.parent.mkdir(parents=True)
    artifact.write_text("fitted")
    for confirm in (None, "other"):
        with pytest.raises(StateError, match=r"1 published batches, 30 loans.*--confirm lender"):
            reset_portfolio("lender", url, confirm, "cli:ann")
    with open_session("lender", url) as session:
        assert select(session, "SELECT count(*) FROM loans") == [[30]]
    deleted = reset_portfolio("lender", url, "lender", "cli:ann")
    assert (deleted["loans"], deleted["outcomes"]) == (30, 30)
    assert not artifact.exists()
    with open_session("lender", url) as session:
        assert select(session, "SELECT count(*) FROM loans") == [[0]]
    ingest(url, "history", loans)


def test_reset_keeps_the_audit_log_and_adds_who_did_it(
    write: Callable, url: str, loans: Path
) -> None:
    ingest(url, NIGHT, loans)
    reset_portfolio("lender", url, "lender", "cli:ann")
    reset_portfolio("lender", url, None, "cli:bob")
    with open_session("lender", url) as session:
        entries = recent_entries(session)
        assert [(e["done_by"], e["action"]) for e in entries] == [
            ("cli:bob", "portfolio.reset"),
            ("cli:ann", "portfolio.reset"),
        ]
        assert entries[1]["details"]["loans"] == 30
        assert verify_chain(session).faults == []
