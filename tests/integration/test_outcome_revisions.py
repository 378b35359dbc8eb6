"""Outcomes are revisions: the newest statement counts, all are kept, a wrong file is withdrawn."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from children import Spawn, command

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError, MissingError, StateError
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.ingest.outcome_files import find_outcome_files, outcome_file
from loan_scoring.ingest.outcome_withdrawal import withdraw_outcomes
from loan_scoring.ingest.outcomes import Declaration, TakenOutcomes, take_outcomes
from loan_scoring.lab.replay import Replay
from loan_scoring.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"
ME = "cli:tests"

Take = Callable[..., TakenOutcomes]


@pytest.fixture
def loans(empty: Session, drops: Replay) -> list[int]:
    """The keys of a published night."""
    ingest_batch(empty, NIGHT, drops.application_files[NIGHT])
    lines = drops.application_files[NIGHT].read_text().splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines]


@pytest.fixture
def take(empty: Session, tmp_path: Path) -> Take:
    """Ingest a file NAME.csv with the lines, each "loan,0 or 1,date"."""

    def go(name: str, *lines: str, **declared: Any) -> TakenOutcomes:
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["ID,Status,observed_on", *lines]) + "\n")
        return take_outcomes(empty, path, Declaration(ME, **declared))

    return go


def select(session: Session, query: str) -> list[list[Any]]:
    return database.select_read_only(session.connection, query)[1]


def known(session: Session) -> dict[int, tuple[bool, str | None]]:
    return {
        loan: (is_default, observed)
        for loan, is_default, observed in select(
            session, "select loan_id, is_default, observed_on::text from outcomes"
        )
    }


def states(session: Session) -> list[list[Any]]:
    """The statements in the order in which they were made, each with its file and state."""
    return select(
        session,
        "select drop_id || ' ' || revision, is_default, state from outcome_history"
        " order by change_id, observed_on",
    )


def test_later_outcome_replaces_and_earlier_one_is_kept_as_history(
    empty: Session, loans: list[int], take: Take
) -> None:
    a = loans[0]
    take("first", f"{a},0,2026-02-01")
    assert take("second", f"{a},1,2026-03-01").loans.changed == 1
    assert known(empty) == {a: (True, "2026-03-01")}
    late = take("third", f"{a},0,2026-01-15")
    assert (late.accepted, late.quarantined, late.loans.changed) == (1, 0, 0)
    assert known(empty) == {a: (True, "2026-03-01")}
    assert states(empty) == [
        ["outcomes-first 1", False, "overruled"],
        ["outcomes-second 1", True, "current"],
        ["outcomes-third 1", False, "overruled"],
    ]


def test_dated_outcome_replaces_the_label_of_the_history(ready: Session, tmp_path: Path) -> None:
    ((loan, was),) = select(ready, "select loan_id, is_default from outcomes order by 1 limit 1")
    path = tmp_path / "late.csv"
    path.write_text(f"ID,Status,observed_on\n{loan},{int(not was)},2026-02-01\n")
    assert take_outcomes(ready, path).loans.changed == 1
    path = tmp_path / "undated.csv"
    path.write_text(f"ID,Status\n{loan},{int(not was)}\n")
    assert take_outcomes(ready, path).quarantined == 1  # it contradicts the label of the history
    row = f"select is_default, observed_on::text from outcomes where loan_id = {loan}"
    assert select(ready, row) == [[not was, "2026-02-01"]]


def test_another_outcome_of_the_same_day_needs_a_correction(
    empty: Session, loans: list[int], take: Take
) -> None:
    a, b = loans[:2]
    take("first", f"{a},0,2026-02-01", f"{b},0,2026-02-01")
    refused = take("second", f"{a},1,2026-02-01", f"{b},0,2026-02-01")
    assert (refused.accepted, refused.quarantined) == (1, 1)
    rules = select(empty, "select rules from quarantine where batch_id = 'outcomes-second'")
    assert rules == [[["contradicting_outcome:is_default"]]]
    assert known(empty)[a] == (False, "2026-02-01")

    by_name = take("third.correction", f"{a},1,2026-02-01")
    assert (by_name.drop_id, by_name.is_correction) == ("outcomes-third.correction", True)
    assert known(empty)[a] == (True, "2026-02-01")
    by_hand = take("fourth", f"{b},1,2026-02-01", is_correction=True, comment="a typing error")
    assert by_hand.drop_id == "outcomes-fourth.correction"
    assert known(empty)[b] == (True, "2026-02-01")
    entries = [each for each in audit.recent_entries(empty) if each["action"] == "outcomes.correct"]
    assert [(each["done_by"], each["subject"]) for each in entries] == [
        (ME, "outcomes-fourth.correction revision 1"),
        (ME, "outcomes-third.correction revision 1"),
    ]
    assert entries[0]["details"]["comment"] == "a typing error"


def test_correction_overrules_whatever_its_date_until_something_newer_comes(
    empty: Session, loans: list[int], take: Take
) -> None:
    a = loans[0]
    take("first", f"{a},1,2026-05-01")  # the wrong month
    take("fix.correction", f"{a},0,2026-02-01")
    assert known(empty) == {a: (False, "2026-02-01")}
    # What was overruled contradicts nothing.
    assert take("second", f"{a},0,2026-05-01").accepted == 1
    assert known(empty) == {a: (False, "2026-05-01")}


def test_two_days_of_a_loan_in_one_file_are_two_statements(
    empty: Session, loans: list[int], take: Take
) -> None:
    a, b = loans[:2]
    taken = take("life", f"{a},1,2026-03-01", f"{a},0,2026-02-01", f"{b},0,2026-02-01")
    assert (taken.accepted, taken.quarantined) == (3, 0)
    assert known(empty) == {a: (True, "2026-03-01"), b: (False, "2026-02-01")}


def test_later_revision_of_a_file_replaces_what_the_earlier_one_said(
    empty: Session, loans: list[int], take: Take, caplog: pytest.LogCaptureFixture
) -> None:
    a, b, c = loans[:3]
    take("other", f"{b},0,2026-01-20")
    take("late", f"{a},1,2026-02-01", f"{b},1,2026-02-01", f"{c},0,2026-02-01")
    again = take("late", f"{c},1,2026-02-01")  # no contradiction: it replaces what it said itself
    assert (again.revision, again.loans.changed, again.loans.removed) == (2, 2, 1)
    assert "outcomes-late revision 2: 2 loans with another outcome, 1 loan without" in caplog.text
    assert known(empty) == {b: (False, "2026-01-20"), c: (True, "2026-02-01")}
    assert [row[2] for row in states(empty)] == ["current", *["replaced"] * 3, "current"]


def test_revision_that_brings_no_outcome_is_refused(
    empty: Session, loans: list[int], take: Take
) -> None:
    a = loans[0]
    take("late", f"{a},1,2026-02-01")
    with pytest.raises(StateError, match=r"1 of 1 .*unknown_level.*nothing was changed") as caught:
        take("late", f"{a},maybe,2026-02-01")
    assert "\n" not in str(caught.value)
    assert known(empty) == {a: (True, "2026-02-01")}


def test_withdrawn_file_is_out_and_can_be_taken_back(
    empty: Session, loans: list[int], take: Take
) -> None:
    a, b = loans[:2]
    take("first", f"{a},0,2026-02-01")
    take("wrong", f"{a},1,2026-03-01", f"{b},1,2026-03-01")
    before = known(empty)
    done = withdraw_outcomes(empty, "wrong.csv", "test data of\nthe sender", ME)
    assert (done.state, done.statements, done.is_unchanged) == ("withdrawn", 2, False)
    assert (done.loans.changed, done.loans.removed) == (1, 1)
    assert known(empty) == {a: (False, "2026-02-01")}
    assert [row[2] for row in states(empty)] == ["current", "withdrawn", "withdrawn"]

    again = withdraw_outcomes(empty, "outcomes-wrong", "once more", "cli:other")
    assert (again.is_unchanged, again.changed_by) == (True, ME)
    with pytest.raises(StateError) as caught:
        take("wrong", f"{a},1,2026-03-01", f"{b},1,2026-03-01")
    assert "outcomes-wrong revision 1, which cli:tests withdrew on " in str(caught.value)
    assert "(test data of the sender)" in str(caught.value)
    assert "withdraw --source outcomes-wrong --revision 1 --undo --comment TEXT" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)

    back = withdraw_outcomes(empty, "wrong", "it was right", ME, undo=True)
    assert (back.state, back.loans.added, back.loans.changed) == ("current", 1, 1)
    assert withdraw_outcomes(empty, "wrong", "again", ME, undo=True).is_unchanged
    assert known(empty) == before
    assert take("wrong", f"{a},1,2026-03-01", f"{b},1,2026-03-01").is_unchanged
    actions = [(each["action"], each["subject"]) for each in audit.recent_entries(empty)]
    assert actions == [
        ("outcomes.restore", "outcomes-wrong revision 1"),
        ("outcomes.withdraw", "outcomes-wrong revision 1"),
    ]
    assert audit.verify_chain(empty).faults == []


def test_corrected_file_after_a_withdrawal_counts_and_the_withdrawn_bytes_do_not(
    empty: Session, loans: list[int], take: Take
) -> None:
    a = loans[0]
    take("late", f"{a},1,2026-02-01")
    withdraw_outcomes(empty, "late", "wrong", ME)
    assert take("late", f"{a},0,2026-02-01").revision == 2
    with pytest.raises(StateError, match="--revision 1 --undo"):
        take("late", f"{a},1,2026-02-01")
    undone = withdraw_outcomes(empty, "late", "not so wrong", ME, revision=1, undo=True)
    assert undone.state == "replaced"
    assert known(empty) == {a: (False, "2026-02-01")}
    assert take("late", f"{a},1,2026-02-01").revision == 3
    assert known(empty) == {a: (True, "2026-02-01")}


def test_withdrawal_of_an_unknown_file_and_without_a_reason_is_refused(
    empty: Session, loans: list[int], take: Take
) -> None:
    take("late", f"{loans[0]},1,2026-02-01")
    with pytest.raises(MissingError, match="no file of outcomes lost; `loan-scoring status`"):
        withdraw_outcomes(empty, "lost", "why", ME)
    with pytest.raises(MissingError, match="no file of outcomes late with a revision 7"):
        withdraw_outcomes(empty, "late", "why", ME, revision=7)
    for comment in (" ", "a\x00b"):
        with pytest.raises(LoanScoringError, match="--comment"):
            withdraw_outcomes(empty, "late", comment, ME)


def test_two_withdrawals_at_once_are_one(
    empty: Session, empty_url: str, loans: list[int], take: Take, spawn: Spawn
) -> None:
    take("first", *[f"{loan},0,2026-02-01" for loan in loans])
    take("wrong", *[f"{loan},1,2026-03-01" for loan in loans])
    empty.connection.commit()
    arguments = ["outcomes", "withdraw", "--source", "wrong", "--comment", "race"]
    racers = [spawn(command, empty_url, *arguments) for _ in range(3)]
    for racer in racers:
        racer.go()
    for racer in racers:
        assert racer.end() == 0, racer.errors()
    assert select(empty, "select count(*), bool_or(is_default) from outcomes") == [[1000, False]]
    changes = select(empty, "select change from outcome_changes order by change_id")
    assert [change for (change,) in changes] == ["taken", "taken", "withdrawn"]
    assert len(audit.recent_entries(empty)) == 1


def test_withdrawal_and_a_new_file_at_once_end_in_one_of_the_two_orders(
    empty: Session, empty_url: str, loans: list[int], take: Take, spawn: Spawn, tmp_path: Path
) -> None:
    take("wrong", *[f"{loan},1,2026-03-01" for loan in loans])
    empty.connection.commit()
    path = tmp_path / "right.csv"
    lines = [f"{loan},0,2026-02-01" for loan in loans]
    path.write_text("\n".join(["ID,Status,observed_on", *lines]) + "\n")
    racers = [
        spawn(command, empty_url, "outcomes", "withdraw", "--source", "wrong", "--comment", "race"),
        spawn(command, empty_url, "outcomes", "--source", str(path)),
    ]
    for racer in racers:
        racer.go()
    for racer in racers:
        assert racer.end() == 0, racer.errors()
    assert select(empty, "select count(*), bool_or(is_default) from outcomes") == [[1000, False]]
    assert select(
        empty,
        "select count(*) from (select * from outcomes except"
        " select * from outcomes_as_of('infinity')) as other",
    ) == [[0]]


def test_name_of_a_file_says_which_file_it_is() -> None:
    names = {
        "2026-01-08.csv": "outcomes-2026-01-08",
        "s3://bucket/in/2026-01-08.synthetic.csv.gz": "outcomes-2026-01-08",
        "defaults.2026-01.CSV": "outcomes-defaults.2026-01",
        "defaults.2026-02.csv": "outcomes-defaults.2026-02",
        "2026-01-20.correction.csv": "outcomes-2026-01-20.correction",
        ".csv": "outcomes-.csv",
    }
    assert {name: outcome_file(name).drop_id for name in names} == names
    assert outcome_file("late.csv", is_correction=True).drop_id == "outcomes-late.correction"


def test_landing_holds_a_file_and_its_correction(
    loan_default: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    folder = settings.landing_dir("loan_default") / "outcomes"
    folder.mkdir(parents=True)
    for name in ("2026-01-08.correction.csv", "2026-01-08.csv", "2026-01-09.csv"):
        (folder / name).touch()
        (folder / f"{name}.done").touch()
    found = find_outcome_files(loan_default, "2026-01-08")
    assert [path.name for path in found] == ["2026-01-08.csv", "2026-01-08.correction.csv"]
    (folder / "2026-01-08.parquet").touch()
    with pytest.raises(LoanScoringError, match=r"2026-01-08\.csv, 2026-01-08\.parquet"):
        find_outcome_files(loan_default, "2026-01-08")


def test_migration_keeps_the_outcomes_of_0_1_0(
    new_database: Callable[..., str], postgres: EmbeddedPostgres
) -> None:
    """A file that was judged again in 0.1.0 has outcomes of both its revisions."""
    folder = settings.home() / "sql" / "migrations"
    connection = database.connect("old", new_database())
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("create schema old; create domain loan_key as bigint")
        for path in sorted(folder.glob("*.sql")):
            if path.name < "0018":
                cursor.execute(path.read_text())
        cursor.execute(
            "insert into outcome_drops (drop_id, revision, source, sha256, received, accepted,"
            " quarantined, landed_at) values"
            " ('outcomes-loans', 1, 'h', 'h', 2, 1, 1, '2026-01-01'),"
            " ('outcomes-late', 1, 'x', 'x', 2, 1, 1, '2026-01-02'),"
            " ('outcomes-late', 2, 'x', 'x', 2, 2, 0, '2026-01-03');"
            " insert into batches (batch_id, revision, source, sha256, state, received, accepted,"
            " quarantined) values ('history', 1, 'h', 'h', 'published', 2, 2, 0);"
            " insert into quarantine values ('outcomes-loans', 1, 3, 'x', '{null_key:loan_id}');"
            " insert into outcomes values (1, false, null, 'outcomes-loans', 1),"
            " (2, true, '2026-01-02', 'outcomes-late', 1),"
            " (3, false, '2026-01-02', 'outcomes-late', 2)"
        )
        cursor.execute(next(folder.glob("0022*.sql")).read_text())
        cursor.execute("select loan_id, is_default, observed_on, drop_id, revision from outcomes")
        after = sorted(cursor.fetchall())
        assert after == [
            (1, False, None, "outcomes-history", 1),
            (2, True, date(2026, 1, 2), "outcomes-late", 2),
            (3, False, date(2026, 1, 2), "outcomes-late", 2),
        ]
        cursor.execute(
            "select batch_id from quarantine union all select drop_id from outcome_drops"
        )
        assert sorted(name for (name,) in cursor.fetchall()) == [
            *["outcomes-history"] * 2,
            *["outcomes-late"] * 2,
        ]
        cursor.execute("select * from outcomes_as_of('infinity') order by 1")
        assert cursor.fetchall() == after
        cursor.execute("select loan_id, state from outcome_history order by 1")
        assert cursor.fetchall() == [(1, "current"), (2, "current"), (3, "current")]
    connection.close()
