"""Outcomes: impossible ones are quarantined with every rule, in any order of the file."""

from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import ingest_batch, land_batch
from loan_scoring.ingest.outcomes import take_outcomes
from loan_scoring.ingest.quarantine import count_broken_rules
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT = "2026-01-05"


@pytest.fixture
def loans(empty: Session, drops: Replay) -> list[str]:
    """The keys of a published night, in the order of the file."""
    ingest_batch(empty, NIGHT, drops.application_files[NIGHT])
    return [line.split(",")[0] for line in drops.application_files[NIGHT].read_text().splitlines()][
        1:
    ]


def write(folder: Path, *lines: str, name: str = "late.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(["ID,Status,observed_on", *lines]) + "\n")
    return path


def refused(session: Session) -> dict[int, list[str]]:
    return dict(
        database.select_read_only(session.connection, "select line_number, rules from quarantine")[
            1
        ]
    )


def known(session: Session) -> dict[int, bool]:
    return dict(
        database.select_read_only(session.connection, "select loan_id, is_default from outcomes")[1]
    )


def test_outcomes_that_contradict_each_other_are_all_refused(
    empty: Session, loans: list[str], tmp_path: Path
) -> None:
    a, b = loans[:2]
    taken = take_outcomes(
        empty, write(tmp_path, f"{a},0,2026-01-08", f"{b},1,2026-01-08", f"{a},1,2026-01-08")
    )
    assert (taken.received, taken.accepted, taken.quarantined) == (3, 1, 2)
    assert refused(empty) == {
        2: ["contradicting_outcome:is_default"],
        4: ["duplicate_key:loan_id", "contradicting_outcome:is_default"],
    }
    assert known(empty) == {int(b): True}


def test_the_first_of_equal_outcomes_is_taken(
    empty: Session, loans: list[str], tmp_path: Path
) -> None:
    a = loans[0]
    taken = take_outcomes(empty, write(tmp_path, *[f"{a},1,2026-01-08"] * 3))
    assert (taken.received, taken.accepted, taken.quarantined) == (3, 1, 2)
    assert refused(empty) == {3: ["duplicate_key:loan_id"], 4: ["duplicate_key:loan_id"]}
    assert known(empty) == {int(a): True}


def test_every_rule_of_an_outcome_is_named(
    empty: Session, loans: list[str], tmp_path: Path
) -> None:
    a, b, c = loans[:3]
    take_outcomes(empty, write(tmp_path, f"{a},1,2026-01-08", name="first.csv"))
    taken = take_outcomes(
        empty,
        write(
            tmp_path,
            f"{a},0,2026-01-08",  # contradicts what is known
            "999999999,maybe,soon",
            f"{b},1",
            ",1,2026-01-08",
            f"{c},,2025-01-01",
            f"{c},1,2062-01-08",
        ),
    )
    assert (taken.received, taken.accepted, taken.quarantined) == (6, 0, 6)
    assert refused(empty) == {
        2: ["contradicting_outcome:is_default"],
        3: ["unknown_level:Status", "not_a_date:observed_on", "unknown_loan:loan_id"],
        4: ["field_count"],
        5: ["null_key:loan_id"],
        6: ["unknown_level:Status", "outcome_before_application:observed_on"],
        7: ["outcome_in_future:observed_on"],
    }
    assert known(empty) == {int(a): True}


def test_many_refused_outcomes_leave_a_warning_in_the_log(
    empty: Session, loans: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [f"{loan},1,2026-01-08" for loan in loans[:94]]
    take_outcomes(empty, write(tmp_path, *good, *[f"{loans[0]},1,soon"] * 5, name="few.csv"))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    take_outcomes(empty, write(tmp_path, *good, *[f"{loans[0]},1,soon"] * 6, name="many.csv"))
    assert "6 of 100 outcomes broke the rule not_a_date:observed_on" in caplog.text


def test_refused_dates_name_a_line_its_batch_and_both_ways_out(
    empty: Session, loans: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path, *[f"{loan},1,2025-01-01" for loan in loans[:12]])
    with pytest.raises(StateError) as caught:
        take_outcomes(empty, path)
    message = str(caught.value)
    assert "12 of 12 outcomes broke a rule (outcome_before_application:observed_on 12)" in message
    sample = f"such as line 2: its date is before its batch of {NIGHT}"
    assert sample in message
    assert loans[0] not in message
    assert "correct the dates in the file; or" in message
    assert f"withdraw --portfolio loan_default --batch {NIGHT} --comment TEXT" in message
    assert "what was published before stays" in message


def test_known_outcome_again_is_accepted_with_its_newer_date(
    empty: Session, loans: list[str], tmp_path: Path
) -> None:
    a = loans[0]
    take_outcomes(empty, write(tmp_path, f"{a},1,2026-01-08", name="first.csv"))
    taken = take_outcomes(empty, write(tmp_path, f"{a},1,2026-01-09", name="second.csv"))
    assert (taken.accepted, taken.quarantined) == (1, 0)
    assert database.select_read_only(
        empty.connection, "select observed_on::text, drop_id from outcomes"
    )[1] == [["2026-01-09", "outcomes-second"]]  # fmt: skip


def test_loan_that_was_only_in_an_unpublished_revision_is_unknown(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    land_batch(empty, NIGHT, drops.application_files[NIGHT])
    key = drops.application_files[NIGHT].read_text().splitlines()[1].split(",")[0]
    taken = take_outcomes(empty, write(tmp_path, f"{key},1,2026-01-08"))
    assert taken.quarantined == 1
    assert refused(empty) == {2: ["unknown_loan:loan_id"]}


def test_corrected_outcomes_come_as_a_file_of_their_own(
    empty: Session, loans: list[str], tmp_path: Path
) -> None:
    a = loans[0]
    take_outcomes(empty, write(tmp_path, f"{a},maybe,2026-01-08"))
    taken = take_outcomes(empty, write(tmp_path, f"{a},0,2026-01-08"))
    assert (taken.revision, taken.accepted) == (2, 1)
    assert known(empty) == {int(a): False}


def test_outcomes_of_a_missing_night_are_accepted_later_from_the_same_file(
    empty: Session, loans: list[str], drops: Replay, tmp_path: Path
) -> None:
    later = drops.batch_ids[1]
    late = drops.application_files[later].read_text().splitlines()[1].split(",")[0]
    a = loans[0]
    path = write(tmp_path, f"{a},0,2026-01-08", f"{late},1,2026-01-09", "999999999,1,2026-01-09")
    taken = take_outcomes(empty, path)
    assert (taken.accepted, taken.quarantined) == (1, 2)
    assert take_outcomes(empty, path).is_unchanged  # nobody is known who was not

    ingest_batch(empty, later, drops.application_files[later])
    taken = take_outcomes(empty, path)
    assert (taken.revision, taken.accepted, taken.quarantined) == (2, 2, 1)
    assert not taken.is_unchanged
    assert known(empty) == {int(a): False, int(late): True}
    again = take_outcomes(empty, path)
    assert again.is_unchanged
    assert (again.revision, again.accepted, again.quarantined) == (2, 2, 1)
    assert [(row["revision"], row["is_current"]) for row in count_broken_rules(empty)] == [
        (1, False),
        (2, True),
    ]


def test_loan_that_is_known_now_and_breaks_another_rule_is_checked_again_once(
    empty: Session, loans: list[str], drops: Replay, tmp_path: Path
) -> None:
    later = drops.batch_ids[1]
    late = drops.application_files[later].read_text().splitlines()[1].split(",")[0]
    path = write(tmp_path, f"{loans[0]},0,2026-01-08", f"{late},maybe,2026-01-09")
    take_outcomes(empty, path)
    ingest_batch(empty, later, drops.application_files[later])
    assert take_outcomes(empty, path).revision == 2
    assert take_outcomes(empty, path).is_unchanged
    ((rules,),) = database.select_read_only(
        empty.connection, "select rules from quarantine where revision = 2"
    )[1]
    assert rules == ["unknown_level:Status"]
