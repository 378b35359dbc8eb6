"""Note what each task did and cost in task_metrics."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg2

from loan_scoring import database
from loan_scoring.session import Session


@dataclass
class Work:
    """What a task counts while it works."""

    rows: int = 0


@contextmanager
def measured(
    session: Session, run: str, task: str, batch_id: str | None = None, map_index: int = -1
) -> Iterator[Work]:
    """Time what stands inside and write it under (run, task, map_index), failed or not."""
    work = Work()
    started_at, started, failed = datetime.now(UTC), time.monotonic(), True
    try:
        yield work
        failed = False
    finally:
        values = {
            "run": run,
            "task": task,
            "map_index": map_index,
            "batch_id": batch_id,
            "rows": work.rows,
            "seconds": time.monotonic() - started,
            "errors": int(failed),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "started_at": started_at,
            "finished_at": datetime.now(UTC),
        }
        try:
            with database.transaction(session.connection):
                database.execute(session.connection, "upsert_task_metrics", **values)
        except psycopg2.Error:
            # Where the task fails because Postgres is gone, its own error is the one to show.
            if not failed:
                raise
