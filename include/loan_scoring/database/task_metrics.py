"""Record the rows, seconds, errors and memory of each task in table `task_metrics`."""

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
    """Number of rows that a task has handled. The task sets `rows` during its work."""

    rows: int = 0


@dataclass(frozen=True)
class TaskStart:
    """The start of a task: number and time of the try, DAG run start, and direct upstream tasks."""

    try_number: int
    at: datetime
    run_at: datetime | None
    """When the DAG run that contains the task started. None if this is unknown."""
    after: list[str]
    """Names of the direct upstream tasks, as in column `task` of table `task_metrics`."""


@contextmanager
def measure_task(
    session: Session,
    run: str,
    task: str,
    batch_id: str | None = None,
    map_index: int = -1,
    start: TaskStart | None = None,
) -> Iterator[TaskWork]:
    """Measure the block and write a row of table `task_metrics`, even if the block fails.

    The key of the row is (run, task, map_index).

    Args:
        session: session on the portfolio.
        run: id of the DAG run or of the command.
        task: name of the task.
        batch_id: batch on which the task works, if any.
        map_index: index of a mapped task, or -1 for a task that is not mapped.
        start: start of the task, for computing how long the task waited. None for a command,
            because a command does not wait.
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
            # If the task itself has failed, raise only the task's error. Postgres is probably gone,
            # and the task's error says so.
            if failure is None:
                raise


def _line(error: BaseException) -> str:
    """Return the text of a LoanScoringError, but only the class name of any other error.

    The text of another error may contain values of applications.
    """
    return str(error) if isinstance(error, LoanScoringError) else type(error).__name__


def queue_wait_seconds(session: Session, run: str, start: TaskStart) -> float | None:
    """Return how many seconds a task waited until the scheduler started it.

    The waiting time begins when the last upstream task ends, but not before the DAG run starts.

    Return None for a second or later try, because such a try waited for the retry delay or for a
    person. Return None also if an upstream task has no row in table `task_metrics`, or if the start
    of the DAG run is unknown. docs/adr/0012 says why Airflow's own times are not used.
    """
    if start.try_number > 1 or start.run_at is None:
        return None
    with database.transaction(session.connection):
        before = database.row(session.connection, "select_ready_at", run=run, tasks=start.after)
    assert before is not None  # noqa: S101 - an aggregate always gives one row
    if before["tasks"] < len(start.after):
        return None
    ready = max(start.run_at, before["finished_at"] or start.run_at)
    # The difference can be negative, because the clocks of two machines may differ by more than
    # the waiting time.
    return max(0.0, (start.at - ready).total_seconds())
