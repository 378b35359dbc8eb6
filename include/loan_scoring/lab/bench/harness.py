"""Help the benchmarks: run a module in a new process, read peak memory, and empty tables."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg2 import sql

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


def run_in_process(
    module: str,
    arguments: list[str],
    url: str,
    source: str,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a module of this package in a new process and return the JSON object that it prints.

    Args:
        module: name of the module without the package.
        arguments: command-line arguments of the module.
        url: the database's URL.
        source: description of the loans, for the error message.
        variables: further environment variables of the process.

    Raises:
        SourceError: the module printed an object with the key `error`.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{module}", *arguments],
        env={**os.environ, "LOAN_SCORING_DATABASE_URL": url, **(variables or {})},
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


def delete_batches(session: Session, are_known_loans_kept: bool = False) -> None:
    """Empty tables `batches`, `applications`, `quarantine`, `loans` and all that refer to them.

    Args:
        session: database session of the role that owns the tables.
        are_known_loans_kept: whether table `loans` keeps the loans of the history, which
            `enter_known_loans` entered.
    """
    truncate_tables(session, "batches, applications, quarantine")
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM loans WHERE NOT (%s AND batch_id = 'history')", (are_known_loans_kept,)
        )


def enter_known_loans(session: Session, loans: int) -> None:
    """Enter loans of the history with random keys in table `loans`, unless they are there.

    A row in table `batches` says that the history is published. Its applications are left out,
    because ingestion of another batch does not read them.
    """
    is_number = session.contract.key.is_numeric
    draw = sql.SQL("random() * 9e18" if is_number else "gen_random_uuid()")
    connection = session.connection
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM loans")
        present = cursor.fetchone()
        if present is None or present[0] < loans:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO loans SELECT key::loan_key, 'history'"
                    " FROM (SELECT {} AS key FROM generate_series(1, %s)) AS drawn ORDER BY 1"
                    " ON CONFLICT DO NOTHING"
                ).format(draw),
                (loans,),
            )
        elif not loans:
            cursor.execute("TRUNCATE loans")
        if loans:
            cursor.execute(
                "INSERT INTO batches (batch_id, revision, source, sha256, state, is_current,"
                " received, accepted, quarantined)"
                " VALUES ('history', 1, 'bench', '', 'published', true, %s, %s, 0)",
                (loans, loans),
            )
    connection.autocommit = True  # because VACUUM refuses to run in a transaction
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE loans")
    connection.autocommit = False


def truncate_tables(session: Session, tables: str) -> None:
    """Empty tables of the benchmark's database, and all tables that refer to them.

    Triggers forbid truncation of tables `approvals` and `publications`, so the triggers are
    disabled for that moment. Nothing is lost, because nobody decides or reads in a benchmark.
    """
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        for verb in ("DISABLE", "ENABLE"):
            for table in ("approvals", "publications"):
                cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER {table}_append_only")
            if verb == "DISABLE":
                cursor.execute(f"TRUNCATE {tables} CASCADE")
