"""The waiting time of a task runs from the end of its last upstream task."""

from datetime import UTC, datetime, timedelta

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.database.task_metrics import TaskStart, measure_task, queue_wait_seconds
from loan_scoring.errors import SourceError

pytestmark = pytest.mark.integration

RUN_AT = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return RUN_AT + timedelta(seconds=seconds)


@pytest.fixture
def done(empty: Session) -> Session:
    """A run whose task `a` ended after 10 seconds and whose mapped tasks `b` after 20 and 30."""
    tasks = (("score.a", -1, 10), ("score.b", 0, 20), ("score.b", 1, 30))
    with database.transaction(empty.connection), empty.connection.cursor() as cursor:
        cursor.executemany(
            "insert into task_metrics (run, task, map_index, rows, seconds, peak_memory_bytes,"
            " started_at, finished_at) values ('r', %s, %s, 0, 1, 1, %s, %s)",
            [(task, index, RUN_AT, after(ended)) for task, index, ended in tasks],
        )
    return empty


@pytest.mark.parametrize(
    ("start", "waited"),
    [
        (TaskStart(1, after(3), RUN_AT, []), 3),  # the first task of a run
        (TaskStart(1, after(12.5), RUN_AT, ["score.a"]), 2.5),
        (
            TaskStart(1, after(31), RUN_AT, ["score.a", "score.b"]),
            1,
        ),  # the last upstream task counts
        (TaskStart(1, after(29), RUN_AT, ["score.b"]), 0),  # clocks differ
        (TaskStart(1, after(99), RUN_AT, ["score.a", "score.person"]), None),  # one task has no row
        (TaskStart(2, after(99), RUN_AT, ["score.a"]), None),  # a retry, or a cleared task
        (TaskStart(1, after(99), None, []), None),
    ],
)
def test_wait_is_from_the_end_of_the_last_upstream_task(
    done: Session, start: TaskStart, waited: float | None
) -> None:
    assert queue_wait_seconds(done, "r", start) == waited
    with measure_task(done, "r", "score.c", start=start):
        pass
    query = "select queue_seconds from task_metrics where task = 'score.c'"
    assert database.select_read_only(done.connection, query)[1] == [[waited]]


def test_command_waits_for_nobody(empty: Session) -> None:
    with measure_task(empty, "cli-x", "score.batch"):
        pass
    query = "select queue_seconds from task_metrics"
    assert database.select_read_only(empty.connection, query)[1] == [[None]]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SourceError("batch 2026-01-05 refused: empty"), "batch 2026-01-05 refused: empty"),
        (
            ValueError("https://u:secret@h"),
            "ValueError",
        ),  # the text of other errors may hold a secret
    ],
)
def test_error_of_a_failed_task_is_kept_until_it_succeeds(
    empty: Session, error: Exception, line: str
) -> None:
    query = "select errors, error from task_metrics"
    with pytest.raises(type(error)), measure_task(empty, "r", "ingest.check"):
        raise error
    assert database.select_read_only(empty.connection, query)[1] == [[1, line]]
    with measure_task(empty, "r", "ingest.check"):
        pass
    assert database.select_read_only(empty.connection, query)[1] == [[1, None]]
