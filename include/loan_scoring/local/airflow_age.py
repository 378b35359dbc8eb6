"""Delete what has grown old in Airflow: rows of its metadata database, and log files.

Airflow deletes neither by itself. Rows are deleted by Airflow's own command `airflow db clean`, so
this must run where the URL of the metadata database is: in the supervisor of `make up`, and in the
service `housekeeping` of Docker Compose.
"""

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loan_scoring import settings
from loan_scoring.errors import LoanScoringError

_log = logging.getLogger(__name__)

TABLES = (
    "asset_event,callback,celery_taskmeta,celery_tasksetmeta,dag_run,deadline,import_error,job,log,"
    "revoked_token,task_instance,task_instance_history,task_reschedule,trigger,xcom"
)
"""The tables that grow with every night. DAGs and their versions are few, and stay."""
MOST_LOG_BYTES = 20 << 20
"""Size from which the log of a component is put aside. Then the one put aside before is deleted."""
FIRST_SECONDS, DAILY_SECONDS = 600.0, 86_400.0


def clean_airflow(
    logs: Path, environment: Mapping[str, str] | None = None, now: datetime | None = None
) -> int:
    """Delete rows and log files older than LOAN_SCORING_AIRFLOW_KEEP_DAYS. Return the files' count.

    The last run of each DAG is kept.

    Args:
        logs: folder of Airflow's logs.
        environment: environment of Airflow's processes. By default, that of this process.
        now: the time. By default, the clock's.

    Raises:
        LoanScoringError: `airflow db clean` failed. The log files are deleted nevertheless.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=settings.airflow_keep_days())
    removed = remove_old_logs(logs, before)
    rotate_logs(logs)
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive",
         "--error-on-cleanup-failure", "--tables", TABLES,
         "--clean-before-timestamp", before.isoformat()],
        env=None if environment is None else {**environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stdout.strip().splitlines()[-1:] or ["it wrote nothing"]
        raise LoanScoringError(f"airflow db clean ended with {done.returncode}: {said[0]}")
    return removed


def remove_old_logs(logs: Path, before: datetime) -> int:
    """Delete the log files of tasks and of DAG files that were last written before a time.

    Folders that are empty then are deleted too. Logs of components, at the top, are kept.

    Returns:
        the number of deleted files.
    """
    removed = 0
    for folder, _, files in os.walk(logs, topdown=False):
        place = Path(folder)
        if place == logs:
            continue
        for name in files:
            path = place / name
            try:
                if not path.is_symlink() and path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # another process deleted it
        try:
            if place.stat().st_mtime < before.timestamp():
                place.rmdir()
        except OSError:
            continue  # it holds younger files
    return removed


def rotate_logs(logs: Path, most_bytes: int = MOST_LOG_BYTES) -> None:
    """Put aside the logs of components that have grown too large.

    A component keeps its log open for appending, so the log is copied and then emptied. Lines that
    are written in between, within a few milliseconds, are lost.
    """
    for log in logs.glob("*.log"):
        if log.stat().st_size > most_bytes:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def clean_daily(logs: Path, environment: Mapping[str, str], is_over: threading.Event) -> None:
    """Clean ten minutes after the start, and then once a day, until `is_over` is set.

    A failure is logged, and the next day tries again.
    """
    due = time.monotonic() + FIRST_SECONDS
    while not is_over.wait(max(due - time.monotonic(), 0.0)):
        due = time.monotonic() + DAILY_SECONDS
        try:
            clean_airflow(logs, environment)
        except (LoanScoringError, OSError) as error:
            _log.warning("old rows and logs of Airflow are not deleted: %s", error)
