"""Ingest: broken rows are quarantined, good rows accepted, and the same file counts once."""

from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.contract import Contract, IngestPolicy
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.batches import check_batch, ingest_batch
from loan_scoring.ingest.landing import find_landed_file
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"


def select(session: Session, query: str) -> list[list]:
    return database.select_read_only(session.connection, query)[1]


@pytest.fixture
def night(drops: Replay) -> Path:
    return drops.application_files[NIGHT]


def rewrite(source: Path, target: Path, change: dict[int, str]) -> Path:
    """Copy a file with some lines replaced; line numbers start at 1."""
    lines = source.read_text().splitlines()
    for number, text in change.items():
        lines[number - 1] = text
    target.write_text("\n".join(lines) + "\n")
    return target


def with_value(source: Path, line: int, column: str, value: str) -> str:
    header, *_ = lines = source.read_text().splitlines()
    fields = lines[line - 1].split(",")
    fields[header.split(",").index(column)] = value
    return ",".join(fields)


def test_clean_file_becomes_the_batch(empty: Session, night: Path) -> None:
    landed = ingest_batch(empty, NIGHT, night)
    assert (landed.received, landed.accepted, landed.quarantined) == (1000, 1000, 0)
    assert select(empty, "select revision, state, is_current, received from batches") == [
        [1, "published", True, 1000]
    ]
    assert select(empty, "select count(*), count(distinct loan_id) from current_applications") == [
        [1000, 1000]
    ]


def test_same_bytes_again_change_nothing(empty: Session, night: Path) -> None:
    ingest_batch(empty, NIGHT, night)
    before = select(empty, "select b::text from batches b")
    assert ingest_batch(empty, NIGHT, night).is_unchanged
    assert select(empty, "select b::text from batches b") == before


def test_other_bytes_become_a_revision_and_the_old_is_kept(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    ingest_batch(empty, NIGHT, night)
    other = rewrite(night, tmp_path / "other.csv", {2: with_value(night, 2, "year", "2020")})
    assert ingest_batch(empty, NIGHT, other).revision == 2
    assert select(empty, "select revision, is_current from batches order by revision") == [
        [1, False],
        [2, True],
    ]
    assert select(
        empty, "select revision, count(*) from applications group by revision order by revision"
    ) == [[1, 1000], [2, 1000]]
    assert select(
        empty, "select count(*) from current_applications where application_year = 2020"
    ) == [[1]]


def test_broken_rows_are_quarantined_with_line_text_and_rules(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    bad = with_value(night, 3, "income", "much")
    other = rewrite(
        night, tmp_path / "x.csv", {3: bad, 10: "a,b", 11: night.read_text().splitlines()[8]}
    )
    landed = ingest_batch(empty, NIGHT, other)
    assert (landed.received, landed.accepted, landed.quarantined) == (1000, 997, 3)
    assert select(empty, "select line_number, rules from quarantine order by line_number") == [
        [3, ["not_a_number:income_usd_per_month"]],
        [10, ["field_count"]],
        [11, ["duplicate_key:loan_id"]],
    ]
    assert select(empty, "select raw_text from quarantine where line_number = 3") == [[bad]]


def test_batch_with_too_many_broken_rows_is_refused_and_leaves_no_row(
    empty: Session, night: Path, tmp_path: Path
) -> None:
    change = {line: with_value(night, line, "Gender", "?") for line in range(2, 202)}
    other = rewrite(night, tmp_path / "x.csv", change)
    for _ in range(2):  # a retry of the same file is no further revision
        with pytest.raises(
            SourceError, match=r"200 of 1,000 rows .*unknown_level:gender 200"
        ) as caught:
            ingest_batch(empty, NIGHT, other)
        assert "\n" not in str(caught.value)
    assert select(empty, "select revision, state, is_current from batches") == [
        [1, "refused", False]
    ]
    assert select(empty, "select count(*) from applications") == [[0]]
    assert select(empty, "select count(*) from quarantine") == [[0]]
    with pytest.raises(SourceError, match=r"revision 1 was refused.*clear `land`"):
        check_batch(empty, NIGHT, 1)  # as of a task that was cleared without the one before it
    assert ingest_batch(empty, NIGHT, night).revision == 2


@pytest.mark.parametrize("content", ["", "ID,year\n", None])
def test_file_that_is_broken_as_a_whole_leaves_nothing(
    empty: Session, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SourceError) as caught:
        ingest_batch(empty, NIGHT, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert select(empty, "select count(*) from batches") == [[0]]


def test_missing_column_is_named(empty: Session, night: Path, tmp_path: Path) -> None:
    header = night.read_text().splitlines()[0].replace(",income,", ",salary,")
    other = rewrite(night, tmp_path / "x.csv", {1: header})
    with pytest.raises(SourceError, match="income"):
        ingest_batch(empty, NIGHT, other)


def test_extra_column_is_ignored_and_reported(empty: Session, night: Path, tmp_path: Path) -> None:
    other = tmp_path / "x.csv"
    other.write_text("".join(f"{line},x\n" for line in night.read_text().splitlines()))
    header = other.read_text().splitlines()[0].removesuffix(",x") + ",mood"
    rewrite(other, other, {1: header})
    assert ingest_batch(empty, NIGHT, other).accepted == 1000
    assert select(empty, "select ignored_columns from batches") == [[["mood"]]]


def test_history_brings_its_outcomes(ready: Session) -> None:
    assert select(
        ready, "select (select accepted from batches) = count(*), count(observed_on) from outcomes"
    ) == [[True, 0]]


def test_outcomes_are_ingested_and_the_same_file_changes_nothing(
    ready: Session, drops: Replay
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    first = take_outcomes(ready, drops.outcome_files[0])
    assert (first.received, first.accepted, first.quarantined) == (1000, 1000, 0)
    assert take_outcomes(ready, drops.outcome_files[0]).is_unchanged
    assert select(
        ready, "select count(*) from outcomes join current_applications a using (loan_id)"
        " where a.batch_id = '2026-01-05' and observed_on = '2026-01-08'"
    ) == [[1000]]  # fmt: skip


def test_outcomes_that_cannot_be_true_are_quarantined(
    ready: Session, drops: Replay, tmp_path: Path
) -> None:
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    take_outcomes(ready, drops.outcome_files[0])
    header, first, second, third, *_ = drops.outcome_files[0].read_text().splitlines()
    key, label, date = first.split(",")
    other = tmp_path / "late.csv"
    *known, unsure = drops.outcome_files[0].read_text().splitlines()[4:201]
    lines = [
        header,
        *known,
        f"{key},{1 - int(label)},{date}",  # contradicts what is known
        "999999999,1,2026-01-08",  # of nobody
        second.replace("2026-01-08", "2026-01-01"),  # before its application
        third.replace("2026-01-08", "soon"),
        "x,1,2026-01-08",
        f"{unsure.split(',')[0]},maybe,2026-01-08",
    ]
    other.write_text("\n".join(lines) + "\n")
    taken = take_outcomes(ready, other)
    assert (taken.received, taken.accepted, taken.quarantined) == (202, 196, 6)
    rules = select(
        ready, "select rules from quarantine where batch_id = 'outcomes-late' order by line_number"
    )
    assert [row[0] for row in rules] == [
        ["contradicting_outcome:is_default"],
        ["unknown_loan:loan_id"],
        ["outcome_before_application:observed_on"],
        ["not_a_date:observed_on"],
        ["not_a_number:loan_id"],
        ["unknown_level:Status"],
    ]


def test_outcomes_that_come_before_their_applications_are_refused_as_a_whole(
    ready: Session, drops: Replay
) -> None:
    with pytest.raises(StateError, match=r"1000 of 1000 outcomes .*unknown_loan:loan_id 1000"):
        take_outcomes(ready, drops.outcome_files[0])
    assert select(ready, "select count(*) from quarantine") == [[0]]
    assert select(ready, "select count(*) from outcome_drops") == [[1]]  # the history's
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    assert take_outcomes(ready, drops.outcome_files[0]).accepted == 1000


def test_missing_landing_file_says_where_to_put_it(loan_default: Contract) -> None:
    with pytest.raises(SourceError, match=r"put 2031-01-01\.csv .* into .*applications"):
        find_landed_file(loan_default, "applications", "2031-01-01")


def test_the_same_history_under_a_looser_rule_accepts_the_rejected_loans(
    empty: Session, drops: Replay
) -> None:
    path = drops.application_files["history"]
    strict = [
        column.model_copy(update={"range": (560.0, 900.0)})
        if column.name == "credit_score"
        else column
        for column in empty.contract.columns
    ]
    update = {"columns": strict, "ingest": IngestPolicy(max_quarantined_share=0.5)}
    before = ingest_batch(
        Session(empty.contract.model_copy(update=update), empty.connection), "history", path
    )
    assert before.quarantined > 100
    known = select(empty, "select count(*) from outcomes")[0][0]
    after = ingest_batch(empty, "history", path)
    assert (after.revision, after.quarantined, after.is_unchanged) == (2, 0, False)
    assert select(empty, "select count(*) from outcomes")[0][0] == known + before.quarantined
    assert ingest_batch(empty, "history", path).is_unchanged
