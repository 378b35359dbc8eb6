"""A portfolio whose keys are UUIDs goes through every stage, and a key has one spelling."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid5

import pytest
import yaml

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.desk.queue import read_queue
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.integration

NIGHT, NEXT = "2026-01-05", "2026-01-06"
SPACE = UUID(int=18)


def with_uuids(source: Path, target: Path, odd: dict[int, str] | None = None) -> Path:
    """Write a file again with a UUID for each key. `odd` has other keys by row."""
    with source.open(newline="") as read, target.open("w", newline="") as write:
        rows, out = csv.reader(read), csv.writer(write)
        header = next(rows)
        key = header.index("ID")
        out.writerow(header)
        for place, row in enumerate(rows):
            text = str(uuid5(SPACE, row[key]))
            row[key] = (odd or {}).get(place, text.upper() if place % 2 else text)
            out.writerow(row)
    return target


def test_uuids_go_through_every_stage(
    new_database: Callable[..., str],
    loan_default: Contract,
    drops: Replay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = json.loads(loan_default.model_dump_json()) | {"portfolio": "by_uuid", "replay": {}}
    key = next(column for column in raw["columns"] if column["name"] == "loan_id")
    key |= {"type": "uuid", "range": None, "margin": None}
    raw["training"]["candidates"] = {"logistic_regression": [{"C": 1}]}
    raw["scoring"]["mini_batch_rows"] = 400
    (tmp_path / "by_uuid.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    url = new_database()
    files = drops.application_files
    with open_session("by_uuid", url) as session:
        ingest_batch(session, "history", with_uuids(files["history"], tmp_path / "history.csv"))
        versions, _ = train(session)
        promote_by_hand(session, versions["propensity"], "cli:tests", "a test")
        night = with_uuids(files[NIGHT], tmp_path / f"{NIGHT}.csv", {5: "not-one", 6: "0" * 32})
        batch = ingest_batch(session, NIGHT, night)
        score_batch(session, NIGHT)
        scored = select(session, "select loan_id from current_scores order by loan_id")
        assert len(scored) == batch.accepted
        assert all(str(UUID(loan)) == loan for (loan,) in scored)
        reasons = select(session, "select rules from quarantine where line_number in (7, 8)")
        assert reasons == [[["not_a_uuid:loan_id"]]] * 2
        bounds = select(
            session,
            "select first_loan_id, last_loan_id, applications from mini_batches"
            " order by mini_batch",
        )
        loans = [loan for (loan,) in scored]
        firsts = [sum(rows for *_, rows in bounds[:place]) for place in range(3)]
        assert [first for first, *_ in bounds] == [loans[place] for place in firsts]
        assert bounds[-1][1] == loans[-1]

        known = loans[0].upper()
        other = with_uuids(files[NEXT], tmp_path / f"{NEXT}.csv", {3: known})
        ingest_batch(session, NEXT, other)
        assert select(session, "select rules from quarantine where line_number = 5") == [
            [["known_key:loan_id"]]
        ]
        labelled = with_uuids(drops.outcome_files[0], tmp_path / "2026-01-08.csv")
        assert take_outcomes(session, labelled).accepted > 0
        page = read_queue(session, NIGHT, limit=2)
        assert page.next is not None
        following = read_queue(session, NIGHT, after=page.next, limit=2)
        assert {row["loan_id"] for row in page.rows}.isdisjoint(
            row["loan_id"] for row in following.rows
        )
    assert main(["loan", known, "--portfolio", "by_uuid", "--database", url]) == 0
    assert loans[0] in capsys.readouterr().out
    assert main(["loan", "no-uuid", "--portfolio", "by_uuid", "--database", url]) == 1
    assert "'no-uuid' is not a loan_id of by_uuid" in capsys.readouterr().err


def select(session: Session, query: str) -> list[list[object]]:
    return database.select_read_only(session.connection, query)[1]
