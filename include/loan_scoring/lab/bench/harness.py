"""What benches share: a process of its own for each measurement, its peak memory, empty tables."""

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
"""Created for a bench and dropped after it."""
NAIVE_ROWS = 20_000
"""Rows on which the naive ways are measured; their time is linear in the rows."""


def run_in_process(module: str, arguments: list[str], url: str, source: str) -> dict[str, Any]:
    """Run a module of this package on a database and return the object that it prints.

    Args:
        module: the name without its package.
        arguments: its command line.
        url: of the database.
        source: the loans that it works on, for the error line.

    Raises:
        SourceError: the module printed an `error`.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{module}", *arguments],
        env={**os.environ, "LOAN_SCORING_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        check=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    if "error" in measured:
        raise SourceError(f"{source}: {measured['error']}")
    return measured


def peak_memory_bytes() -> int:
    """Return the peak memory of this process.

    Not from ru_maxrss: a child inherits the peak of its parent there.

    >>> peak_memory_bytes() > 1 << 20
    True
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


def highest_peak(name: str, runs: list[dict[str, Any]]) -> Measurement:
    """Return the highest peak memory of some runs as a figure."""
    return Measurement(name, max(run["peak_memory_bytes"] for run in runs) / (1 << 20), "MiB")


def delete_batches(session: Session) -> None:
    """Delete every batch, and all rows that refer to one."""
    truncate_tables(session, "batches, applications, quarantine")


def truncate_tables(session: Session, tables: str) -> None:
    """Empty tables of the bench's own database, and the tables that refer to them.

    A trigger forbids this where decisions refer to scores; in a bench there are no decisions.
    """
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approvals DISABLE TRIGGER approvals_append_only")
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        cursor.execute("ALTER TABLE approvals ENABLE TRIGGER approvals_append_only")
