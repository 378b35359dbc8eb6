"""Start Airflow's processes, report why a process died, and migrate Airflow's database."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg2

from loan_scoring.errors import DatabaseError, LoanScoringError
from loan_scoring.local import guard
from loan_scoring.local.airflow_logs import cause_in_process_log
from loan_scoring.local.state import read_json, write_private

# --skip-serve-logs prevents log servers, because each log server would need a fixed port. No log
# server is needed because task logs are read from disk.
COMPONENTS = {
    "scheduler": ("loan_scoring.preloaded", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
    "api-server": ("airflow", "api-server"),
}
_STABLE_SECONDS = 60.0


class Component:
    """A process of Airflow, such as the scheduler, with its own process group and log file."""

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        log: Path,
        command: tuple[str, ...] = (),
    ) -> None:
        """Start `python -m ARGUMENTS` or a command. The environment must have the stack's mark."""
        self.name = name
        self.log = log
        self.mark = environment[guard.MARK] + name + "//"
        self._command = [*command] or [sys.executable, "-m", *arguments]
        self._environment = {**environment, guard.MARK: self.mark}
        self._deaths = 0
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        self.start()

    def start(self) -> None:
        """Start the process for the first time, or again after the process has died."""
        with self.log.open("ab") as output:
            self._log_begin = output.tell()
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._environment["AIRFLOW_HOME"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started = time.monotonic()
        self._restart_at: float | None = None

    def is_dead(self) -> bool:
        """Return whether the process has ended."""
        return self.process.poll() is not None

    def death(self) -> LoanScoringError:
        """Return an error that says how the dead process ended and that names the log file."""
        code = self.process.returncode
        if code < 0:
            killer = signal.Signals(-code).name
            return LoanScoringError(f"airflow {self.name} was killed by {killer}; see {self.log}")
        cause = cause_in_process_log(self.log, self._log_begin)
        return LoanScoringError(f"airflow {self.name} ended with {code}: {cause}; see {self.log}")

    def restart_if_dead(self) -> str | None:
        """Restart a dead process once the pause after its death is over.

        The method does not wait, so the caller must call it repeatedly. There is no pause if the
        process had run for more than 60 s. If the process keeps dying earlier, the pauses grow from
        1 s to 3 s, 7 s and so on, up to 60 s.

        Returns:
            the message of `death` on the first call after each death, otherwise None.
        """
        if not self.is_dead():
            return None
        if self._restart_at is None:
            now = time.monotonic()
            self._deaths = 0 if now - self._started > _STABLE_SECONDS else self._deaths + 1
            self._restart_at = now + min(2.0**self._deaths - 1, _STABLE_SECONDS)
            return str(self.death())
        if time.monotonic() >= self._restart_at:
            # A dead scheduler leaves worker processes behind. End these workers before the restart,
            # because the workers would wait forever and never release their tasks.
            guard.end_marked(self.mark, patience_seconds=0)
            self.start()
        return None

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process if the process still runs."""
        if not self.is_dead():
            os.kill(self.process.pid, signal.SIGTERM)


def migrate_airflow(
    folder: Path, environment: Mapping[str, str], metadata_url: str, log: Path
) -> None:
    """Migrate Airflow's metadata database to the installed version of Airflow.

    The migration is skipped if neither Airflow's version nor the schema revision of the database
    has changed since the last migration.

    Raises:
        LoanScoringError: the migration failed.
        DatabaseError: the metadata database cannot be read.
    """
    # The file migrated.json keeps the version and the revision of the last migration. Without this
    # file, every start would spend seconds on asking Airflow whether a migration is needed.
    note = folder / "migrated.json"
    version = importlib.metadata.version("apache-airflow")
    revision = _revision(metadata_url)
    if revision is not None and read_json(note) == {"airflow": version, "revision": revision}:
        return
    migration = Component("migration", ("airflow", "db", "migrate"), environment, log)
    if migration.process.wait() != 0:
        raise migration.death()
    write_private(note, json.dumps({"airflow": version, "revision": _revision(metadata_url)}))


def _revision(metadata_url: str) -> str | None:
    try:
        with (
            closing(psycopg2.connect(metadata_url, connect_timeout=10)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("select to_regclass('alembic_version') is not null")
            if cursor.fetchone() == (False,):
                return None
            cursor.execute("select version_num from alembic_version")
            row = cursor.fetchone()
    except psycopg2.Error as error:
        first = str(error).strip().splitlines()[0]
        raise DatabaseError(f"Airflow's metadata database cannot be used: {first}") from error
    return None if row is None else str(row[0])
