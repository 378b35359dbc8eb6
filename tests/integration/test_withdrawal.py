"""Withdraw a batch and take it back: one current score a loan, always, and everything on record."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from children import Spawn, command, publish

from databases import url_of
from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.withdrawal import restore_batch, withdraw_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.batch import (
    plan_scoring,
    publish_earlier_run,
    publish_scores,
    score_batch,
)
from loan_scoring.scoring.mini_batch import score_mini_batch

pytestmark = pytest.mark.integration

NIGHT, NEXT = "2026-01-05", "2026-01-06"
BY = "cli:tests"


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def assert_one_current_score_a_loan(session: Session) -> None:
    """Readers see one score for each loan of a current batch that is scored, and no other."""
    seen = select(session, "select loan_id from current_scores order by loan_id")
    scored = select(
        session,
        "select l.loan_id from loans as l join scoring_runs as r on r.batch_id = l.batch_id"
        " and r.is_current join batches as b on b.batch_id = r.batch_id and b.revision = r.revision"
        " and b.is_current order by l.loan_id",
    )
    assert seen == scored
    assert len({loan for (loan,) in seen}) == len(seen)
    applications = "select loan_id, batch_id from current_applications order by loan_id"
    assert select(session, "select loan_id, batch_id from loans order by loan_id") == select(
        session, applications
    )


@pytest.fixture
def shorter(drops: Replay, tmp_path: Path) -> Path:
    """A file of the night without its last row."""
    path = tmp_path / "shorter.csv"
    path.write_text(drops.application_files[NIGHT].read_text().rstrip().rpartition("\n")[0] + "\n")
    return path


def test_withdrawn_batch_is_out_and_its_loans_are_free(scored: Session, drops: Replay) -> None:
    run = score_batch(scored, NIGHT)
    done = withdraw_batch(scored, NIGHT, BY, "misdated: it is the night of the 6th")
    assert (done.revision, done.applications, done.scoring_run_id) == (1, 1000, run)
    assert select(scored, "select count(*) from current_scores") == [[0]]
    assert select(scored, "select count(*) from scores") == [[1000]]
    with pytest.raises(StateError, match=r"2026-01-05 is not published, or is withdrawn"):
        score_batch(scored, NIGHT)
    with pytest.raises(StateError, match="has no published scores"):
        compare_batch(scored, NIGHT)
    assert ingest_batch(scored, NEXT, drops.application_files[NIGHT]).quarantined == 0
    score_batch(scored, NEXT)
    assert_one_current_score_a_loan(scored)
    said = "select withdrawn_by, withdrawal_comment from batches where withdrawn_at is not null"
    assert select(scored, said) == [[BY, "misdated: it is the night of the 6th"]]


def test_withdrawn_file_is_refused_until_it_is_taken_back(scored: Session, drops: Replay) -> None:
    night = drops.application_files[NIGHT]
    withdraw_batch(scored, NIGHT, BY, "wrong portfolio")
    with pytest.raises(StateError, match=r"cli:tests withdrew this very file .*withdraw --batch"):
        ingest_batch(scored, NIGHT, night)
    restore_batch(scored, NIGHT, BY, "it was right")
    assert ingest_batch(scored, NIGHT, night).is_unchanged
    assert select(scored, "select count(*) from current_scores") == [[1000]]
    assert_one_current_score_a_loan(scored)


def test_batch_is_not_taken_back_while_another_has_its_loans(
    scored: Session, drops: Replay
) -> None:
    withdraw_batch(scored, NIGHT, BY, "misdated")
    ingest_batch(scored, NEXT, drops.application_files[NIGHT])
    with pytest.raises(StateError, match=f"1000 of its loans became .* {NEXT} since .*withdraw"):
        restore_batch(scored, NIGHT, BY, "a try")
    assert_one_current_score_a_loan(scored)
    withdraw_batch(scored, NEXT, BY, "the first date was right")
    assert restore_batch(scored, NIGHT, BY, "right").applications == 1000
    assert_one_current_score_a_loan(scored)


def test_withdrawing_twice_and_restoring_what_is_current_are_refused(
    scored: Session, shorter: Path
) -> None:
    withdraw_batch(scored, NIGHT, BY, "misdated")
    with pytest.raises(StateError, match="is withdrawn already, by cli:tests"):
        withdraw_batch(scored, NIGHT, BY, "misdated")
    ingest_batch(scored, NIGHT, shorter)
    with pytest.raises(StateError, match="revision 2 of batch 2026-01-05 is current"):
        restore_batch(scored, NIGHT, BY, "a try")
    with pytest.raises(StateError, match="is not withdrawn"):
        restore_batch(scored, NEXT, BY, "a try")
    with pytest.raises(StateError, match="has no published revision"):
        withdraw_batch(scored, NEXT, BY, "a try")
    with pytest.raises(StateError, match="--comment is empty"):
        withdraw_batch(scored, NIGHT, BY, " ")


def test_scores_of_an_outdated_revision_are_not_seen(scored: Session, shorter: Path) -> None:
    ingest_batch(scored, NIGHT, shorter)
    assert select(scored, "select count(*) from current_scores") == [[0]]
    assert_one_current_score_a_loan(scored)
    score_batch(scored, NIGHT)
    assert select(scored, "select count(*) from current_scores") == [[999]]
    assert_one_current_score_a_loan(scored)


def test_loan_that_moved_to_another_batch_has_one_current_score(
    scored: Session, shorter: Path, drops: Replay
) -> None:
    ingest_batch(scored, NIGHT, shorter)
    lines = drops.application_files[NIGHT].read_text().splitlines()
    moved = shorter.with_name("moved.csv")
    moved.write_text("\n".join([lines[0], lines[-1]]) + "\n")
    ingest_batch(scored, NEXT, moved)
    score_batch(scored, NEXT)
    assert_one_current_score_a_loan(scored)
    score_batch(scored, NIGHT)
    assert_one_current_score_a_loan(scored)
    assert select(scored, "select count(*) from current_scores") == [[1000]]


def test_older_run_is_published_only_if_a_person_asks(
    ready: Session, challenge: Callable[..., dict[str, str]], drops: Replay
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    first = score_batch(ready, NIGHT)
    newer = challenge("newer", max_iter=30)
    promote_by_hand(ready, newer["propensity"], BY, "a try")
    second = score_batch(ready, NIGHT)
    assert first != second
    with pytest.raises(StateError, match=f"{first} is older than {second}.*--run {first}"):
        publish_scores(ready, first)
    assert select(ready, "select distinct scoring_run_id from current_scores") == [[second]]
    assert publish_earlier_run(ready, NIGHT, first, BY) == 1000
    assert select(ready, "select distinct scoring_run_id from current_scores") == [[first]]
    assert audit.recent_entries(ready)[0]["action"] == "scores.publish"
    with pytest.raises(StateError, match=f"is a run of batch {NIGHT}, not of {NEXT}"):
        publish_earlier_run(ready, NEXT, first, BY)
    # The newer run is what the champions give now, so that scoring again publishes it.
    assert score_batch(ready, NIGHT) == second
    assert_one_current_score_a_loan(ready)


def test_what_readers_saw_is_on_record(scored: Session, shorter: Path) -> None:
    first = score_batch(scored, NIGHT)
    ingest_batch(scored, NIGHT, shorter)
    second = score_batch(scored, NIGHT)
    withdraw_batch(scored, NIGHT, BY, "a try")
    restore_batch(scored, NIGHT, BY, "right")
    periods = select(
        scored,
        "select scoring_run_id, occasion, visible_until is null, visible_from < coalesce("
        "visible_until, 'infinity') from publication_periods order by visible_from",
    )
    assert periods == [
        [first, "scoring", False, True],
        [second, "scoring", False, True],
        [second, "restoration", True, True],
    ]
    actions = [entry["action"] for entry in audit.recent_entries(scored)]
    assert actions[:2] == ["batch.restore", "batch.withdraw"]
    with (
        pytest.raises(psycopg2.errors.RaiseException, match="publications is append-only"),
        database.transaction(scored.connection),
        scored.connection.cursor() as cursor,
    ):
        cursor.execute("delete from publications")


def test_two_withdrawals_at_once_are_one(scored: Session, spawn: Spawn) -> None:
    arguments = ("withdraw", "--batch", NIGHT, "--comment", "misdated")
    racers = [spawn(command, url_of(scored), *arguments) for _ in range(2)]
    for racer in racers:
        racer.go()
    assert sorted(racer.end() or 0 for racer in racers) == [0, 1]
    assert any("is withdrawn already, by cli:" in racer.errors() for racer in racers)
    entries = [e["action"] for e in audit.recent_entries(scored)]
    assert entries.count("batch.withdraw") == 1
    assert_one_current_score_a_loan(scored)


def test_withdrawal_and_scoring_at_once_leave_one_current_score_a_loan(
    scored: Session, spawn: Spawn, shorter: Path, drops: Replay
) -> None:
    """Whatever comes first, publishing sees the withdrawal or the withdrawal sees the scores."""
    ingest_batch(scored, NEXT, drops.application_files[NEXT])
    run = plan_scoring(scored, NEXT).scoring_run_id
    for mini_batch in plan_scoring(scored, NEXT).mini_batches:
        score_mini_batch(scored, run, mini_batch)
    for _ in range(3):
        racers = [
            spawn(command, url_of(scored), "withdraw", "--batch", NEXT, "--comment", "a race"),
            spawn(publish, url_of(scored), run),
        ]
        for racer in racers:
            racer.go()
        for racer in racers:
            racer.end()
        assert_one_current_score_a_loan(scored)
        assert select(scored, "select count(*) from current_scores") == [[1000]]
        restore_batch(scored, NEXT, BY, "again")


def test_killed_withdrawal_leaves_all_or_nothing(scored: Session, spawn: Spawn) -> None:
    arguments = ("withdraw", "--batch", NIGHT, "--comment", "misdated")
    for step in range(6, 30, 3):
        child = spawn(command, url_of(scored), *arguments)
        child.go("step by step")
        child.kill_in(step, 0)
        is_withdrawn = select(scored, "select count(*) from batches where withdrawn_at is not null")
        assert select(scored, "select count(*) from loans where batch_id <> 'history'") == [
            [0 if is_withdrawn == [[1]] else 1000]
        ]
        assert_one_current_score_a_loan(scored)
        if is_withdrawn == [[1]]:
            return
    pytest.fail("no kill came after the commit: raise the last step")


def test_commands_withdraw_and_restore(scored: Session, capsys: pytest.CaptureFixture) -> None:
    arguments = [
        "withdraw",
        "--batch",
        NIGHT,
        "--database",
        url_of(scored),
        "--comment",
        "misdated",
    ]
    assert main(arguments) == 0
    assert "is withdrawn with 1,000 applications; readers no longer see" in capsys.readouterr().out
    ((loan,),) = select(scored, "select min(loan_id) from scores")
    record = ["loan", str(loan), "--database", url_of(scored)]
    assert main(record) == 0
    assert "withdrawn score: cli:" in (shown := capsys.readouterr().out)
    assert len(re.findall(r"seen +\S+ \S+ UTC until \S+ \S+ UTC, by ", shown)) == 1
    assert main([*arguments, "--undo"]) == 0
    assert "is current again with 1,000 applications; readers see" in capsys.readouterr().out
    assert main(record) == 0
    assert len(re.findall(r"seen .* until now, by cli:", shown := capsys.readouterr().out)) == 1
    assert "current score" in shown
