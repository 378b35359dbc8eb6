"""Record the rows, seconds, errors and memory of each task in task_metrics."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg2

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import LoanScoringError


@dataclass
class TaskWork:
    """Counters of a task; the task increases them while it works."""

    rows: int = 0


@dataclass(frozen=True)
class TaskStart:
    """When a scheduler started a task's try, and which tasks it waited for."""

    try_number: int
    at: datetime
    run_at: datetime | None
    """When the run of the task started."""
    after: list[str]
    """The direct upstream tasks by their names in task_metrics."""


@contextmanager
def measure_task(
    session: Session,
    run: str,
    task: str,
    batch_id: str | None = None,
    map_index: int = -1,
    start: TaskStart | None = None,
) -> Iterator[TaskWork]:
    """Measure the block and record it under (run, task, map_index), even if it fails.

    The waiting time is computed from `start`; a command has none.
    """
    work = TaskWork()
    queue_seconds = None if start is None else queue_wait_seconds(session, run, start)
    started_at, started, failure = datetime.now(UTC), time.monotonic(), None
    try:
        yield work
    except BaseException as error:
        failure = error
        raise
    finally:
        values = {
            "run": run,
            "task": task,
            "map_index": map_index,
            "batch_id": batch_id,
            "rows": work.rows,
            "seconds": time.monotonic() - started,
            "queue_seconds": queue_seconds,
            "errors": int(failure is not None),
            "error": None if failure is None else _line(failure),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "started_at": started_at,
            "finished_at": datetime.now(UTC),
        }
        try:
            with database.transaction(session.connection):
                database.execute(session.connection, "upsert_task_metrics", **values)
        except psycopg2.Error:
            # If the task failed because Postgres is gone, its own error is the one to show.
            if failure is None:
                raise


def _line(error: BaseException) -> str:
    """Return the text of our own errors; of others only the class: the text may hold data."""
    return str(error) if isinstance(error, LoanScoringError) else type(error).__name__


def queue_wait_seconds(session: Session, run: str, start: TaskStart) -> float | None:
    """Return the seconds between the end of the last upstream task and the start of this one.

    None if unknown: for a later try, which waited for its delay or for a person, and after a task
    without a row. Why Airflow's own times are not used: docs/adr/0012.
    """
    if start.try_number > 1 or start.run_at is None:
        return None
    with database.transaction(session.connection):
        before = database.row(session.connection, "select_ready_at", run=run, tasks=start.after)
    assert before is not None  # noqa: S101 - an aggregate gives one row
    if before["tasks"] < len(start.after):
        return None
    ready = max(start.run_at, before["finished_at"] or start.run_at)
    # The clocks of two machines may differ by more than the waiting time.
    return max(0.0, (start.at - ready).total_seconds())
