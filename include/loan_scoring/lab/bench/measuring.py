"""What benches share: run a module in a process, read its peak of memory, begin from nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError
from loan_scoring.lab.bench.result import Measurement

DATABASE = "loan_scoring_bench"
"""Made for a bench and dropped after it."""
NAIVE_ROWS = 20_000
"""Rows that the naive ways are measured on; they are linear in the rows."""


def run_in_process(module: str, arguments: list[str], url: str, source: str) -> dict[str, Any]:
    """Run a module of loan_scoring.bench on a database and return the object that it prints.

    Raises:
        SourceError: it prints an `error`, which `source` has caused.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"loan_scoring.lab.bench.{module}", *arguments],
        env={**os.environ, "LOAN_SCORING_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        check=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    if "error" in measured:
        raise SourceError(f"{source}: {measured['error']}")
    return measured


def peak_memory_bytes() -> int:
    """Return the peak of this process; ru_maxrss would be that of its parent, where it is higher.

    >>> peak_memory_bytes() > 1 << 20
    True
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


def highest_peak(name: str, runs: list[dict[str, Any]]) -> Measurement:
    """Return the highest peak of memory of some runs as a figure."""
    return Measurement(name, max(run["peak_memory_bytes"] for run in runs) / (1 << 20), "MiB")


def delete_batches(session: Session) -> None:
    """Take every batch out of the database, and what hangs on batches."""
    truncate_tables(session, "batches, applications, quarantine")


def truncate_tables(session: Session, tables: str) -> None:
    """Empty tables of the bench's own database, and what hangs on them.

    Decisions of people hang on scores and refuse to go; here nobody has decided anything.
    """
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approvals DISABLE TRIGGER approvals_append_only")
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        cursor.execute("ALTER TABLE approvals ENABLE TRIGGER approvals_append_only")
