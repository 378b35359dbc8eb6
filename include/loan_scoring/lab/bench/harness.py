"""Help the benchmarks: run a module in a new process, read peak memory, and empty tables."""

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
"""Name of the database that is created for a benchmark and dropped at the end."""
NAIVE_ROWS = 20_000
"""Number of rows on which the naive implementations are measured.

The result is scaled to all rows, because the time of these implementations is linear in the row
count.
"""


def run_in_process(module: str, arguments: list[str], url: str, source: str) -> dict[str, Any]:
    """Run a module of this package in a new process. Return the JSON object that the module prints.

    Args:
        module: name of the module without the package.
        arguments: command-line arguments of the module.
        url: the database's URL.
        source: description of the source of the loans, for the error message.

    Raises:
        SourceError: the module printed an object with the key `error`.
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
    """Return the peak memory of this process in bytes.

    ru_maxrss is not used, because ru_maxrss of a child process starts at the peak of the parent.

    >>> peak_memory_bytes() > 1 << 20
    True
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) << 10 if found else 0


def highest_peak(name: str, runs: list[dict[str, Any]]) -> Measurement:
    """Return the highest peak memory of several runs as a measurement in MiB."""
    return Measurement(name, max(run["peak_memory_bytes"] for run in runs) / (1 << 20), "MiB")


def delete_batches(session: Session) -> None:
    """Empty tables `batches`, `applications`, `quarantine` and all tables that refer to them."""
    truncate_tables(session, "batches, applications, quarantine")


def truncate_tables(session: Session, tables: str) -> None:
    """Empty tables of the benchmark's database, and all tables that refer to them.

    A trigger forbids truncation of table `approvals`, so the trigger is disabled meanwhile. No
    decision is lost, because a benchmark records no decisions.

    Args:
        session: database session of the benchmark.
        tables: names of the tables, separated by commas.
    """
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approvals DISABLE TRIGGER approvals_append_only")
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        cursor.execute("ALTER TABLE approvals ENABLE TRIGGER approvals_append_only")
