"""Concurrent ingests: one batch is ingested in turn, and a loan gets into one batch only."""

from pathlib import Path

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import StateError
from loan_scoring.ingest.batches import check_batch, ingest_batch, land_batch, publish_batch
from loan_scoring.lab.replay import Replay

pytestmark = pytest.mark.integration

NIGHT, NEXT = "2026-01-05", "2026-01-06"


@pytest.fixture
def url(new_database) -> str:
    return str(new_database())


@pytest.fixture
def other(drops: Replay, tmp_path: Path) -> Path:
    """Another file of the night, with one row less."""
    path = tmp_path / "other.csv"
    path.write_text(drops.application_files[NIGHT].read_text().rstrip().rpartition("\n")[0] + "\n")
    return path


def revisions(session: Session) -> list[list]:
    return database.select_read_only(
        session.connection,
        "select revision, state, is_current, accepted from batches order by batch_id, revision",
    )[1]


def race(spawn_ingest, url: str, *sources: Path) -> list[list]:
    """Ingest the sources concurrently as one batch; return the revisions in batches."""
    with open_session("loan_default", url):
        pass
    racers = [spawn_ingest(url, NIGHT, source) for source in sources]
    for racer in racers:
        racer.go()
    for racer in racers:
        assert racer.end() == 0, racer.errors()
    with open_session("loan_default", url) as session:
        visible = database.select_read_only(
            session.connection, "select count(*) from current_applications"
        )
        current = [row for row in revisions(session) if row[2]]
        assert [row[3] for row in current] == visible[1][0]
        return revisions(session)


def test_the_same_file_twice_at_once_is_one_revision(spawn_ingest, url: str, drops: Replay) -> None:
    night = drops.application_files[NIGHT]
    assert race(spawn_ingest, url, night, night) == [[1, "published", True, 1000]]


def test_two_files_at_once_are_two_revisions_the_later_current(
    spawn_ingest, url: str, drops: Replay, other: Path
) -> None:
    first, second = race(spawn_ingest, url, drops.application_files[NIGHT], other)
    assert first[:3] == [1, "published", False]
    assert second[:3] == [2, "published", True]
    assert {first[3], second[3]} == {999, 1000}


def test_older_revision_that_is_published_later_does_not_become_current(
    empty: Session, drops: Replay, other: Path, caplog
) -> None:
    night = drops.application_files[NIGHT]
    assert land_batch(empty, NIGHT, night).revision == 1
    assert land_batch(empty, NIGHT, other).revision == 2
    for revision, source in ((2, other), (1, night)):
        check_batch(empty, NIGHT, revision)
        publish_batch(empty, NIGHT, revision, source)
    assert revisions(empty) == [[1, "published", False, 1000], [2, "published", True, 999]]
    assert "revision 1 is published but not current" in caplog.text


def test_landed_revision_is_replaced_by_its_own_file(
    empty: Session, drops: Replay, other: Path
) -> None:
    land_batch(empty, NIGHT, drops.application_files[NIGHT])
    land_batch(empty, NIGHT, other)
    assert ingest_batch(empty, NIGHT, drops.application_files[NIGHT]).revision == 1
    assert ingest_batch(empty, NIGHT, other).revision == 2


def test_loan_of_two_batches_that_land_at_once_is_published_once(
    empty: Session, drops: Replay, tmp_path: Path
) -> None:
    lines = drops.application_files[NEXT].read_text().splitlines()
    lines[4] = drops.application_files[NIGHT].read_text().splitlines()[4]
    both = tmp_path / "next.csv"
    both.write_text("\n".join(lines) + "\n")
    night = drops.application_files[NIGHT]
    land_batch(empty, NIGHT, night)
    assert land_batch(empty, NEXT, both).accepted == 1000
    publish_batch(empty, NIGHT, 1, night)
    with pytest.raises(StateError, match=f"1 of its loans became .* of batch {NIGHT} since"):
        publish_batch(empty, NEXT, 1, both)
    assert ingest_batch(empty, NEXT, both).quarantined == 1
    assert database.select_read_only(
        empty.connection, "select batch_id, revision, line_number, rules from quarantine"
    )[1] == [[NEXT, 1, 5, ["known_key:loan_id"]]]


def test_loan_of_another_batch_is_quarantined_but_not_of_the_same_batch(
    empty: Session, drops: Replay, other: Path
) -> None:
    ingest_batch(empty, NIGHT, drops.application_files[NIGHT])
    assert ingest_batch(empty, NIGHT, other).quarantined == 0
    assert land_batch(empty, NEXT, other).quarantined == 999
    again = land_batch(empty, NEXT, other)
    assert (again.revision, again.quarantined) == (1, 999)
    # The loan that the night's new revision left out is free again.
    assert land_batch(empty, NEXT, drops.application_files[NIGHT]).accepted == 1
