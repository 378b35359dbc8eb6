"""The main job on a real scheduler: once, again, and after the supervisor was killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow.csv
import pytest
import yaml

from loan_scoring import contract
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.local import guard
from loan_scoring.local.postgres import EmbeddedPostgres

pytestmark = [pytest.mark.end_to_end, pytest.mark.integration]

PATIENCE_SECONDS = 1500
JOB = """
from loan_scoring.lab.main_job import MainJob, run_main_job
print(run_main_job(MainJob(nights=2, per_night=1000, drifted_nights=(2,))))
"""
ROWS = """
    select (select count(*) from loan_default.applications),
           (select count(*) from loan_default.outcomes),
           (select count(*) from loan_default.drift),
           (select count(*) from loan_default.promotions),
           (select md5(string_agg(s::text, ',' order by loan_id))
              from loan_default.current_scores s)
"""


class Machine:
    """A fresh folder of state and data for the main job, as on a machine without the real file."""

    def __init__(self, folder: Path, portfolios: Path) -> None:
        self.state = folder / "state"
        self.log = folder / "job.log"
        self.jobs: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {
            "LOAN_SCORING_STATE": str(self.state),
            "LOAN_SCORING_DATA": str(folder / "data"),
            "LOAN_SCORING_PORTFOLIOS": str(portfolios),
        }
        self.environment.pop("LOAN_SCORING_SOURCE", None)

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            job = subprocess.Popen(
                [sys.executable, "-c", JOB],
                env=self.environment | environment, stdout=out, stderr=out,
            )  # fmt: skip
        self.jobs.append(job)
        return job

    def run(self, *, code: int = 0, **environment: str) -> str:
        """Run the job to its end, which has an exit code, and return what it printed."""
        before = self.log.stat().st_size if self.log.exists() else 0
        assert self.start(**environment).wait(PATIENCE_SECONDS) == code, self.log.read_text()
        return self.log.read_text()[before:]

    def status(self) -> dict[str, Any]:
        """Return what `loan-scoring status --json` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "loan_scoring.cli", "status", "--json"],
            env=self.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def rows(self) -> tuple:
        server = EmbeddedPostgres(self.state)
        server.start()
        connection = psycopg2.connect(server.url("loan_scoring"))
        try:
            with connection.cursor() as cursor:
                cursor.execute(ROWS)
                found = cursor.fetchone()
                assert found is not None
                return found
        finally:
            connection.close()
            server.stop()

    def processes(self) -> list[int]:
        return guard.marked_pids(str(self.state.resolve()))

    def close(self) -> None:
        for job in self.jobs:  # one whose test has failed may run
            job.kill()
            job.wait()
        EmbeddedPostgres(self.state).stop()


@pytest.fixture
def machine(tmp_path: Path, lenient_portfolios: Path) -> Iterator[Machine]:
    """A machine whose outcomes follow their night by one date."""
    raw = yaml.safe_load((lenient_portfolios / "loan_default.yaml").read_text())
    raw["replay"]["outcome_lag_nights"] = 1
    (tmp_path / "portfolios").mkdir()
    path = tmp_path / "portfolios" / "loan_default.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    made = Machine(tmp_path, path.parent)
    yield made
    made.close()


def test_job_on_generated_loans_is_done_once_killed_or_not_and_says_what_they_are(
    machine: Machine, tmp_path: Path
) -> None:
    job = machine.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "models fitted" not in machine.log.read_text():
        assert job.poll() is None, machine.log.read_text()
        assert time.monotonic() < deadline, machine.log.read_text()
        time.sleep(0.2)
    time.sleep(4)  # nights are being ingested
    job.send_signal(signal.SIGKILL)
    job.wait()
    killed = time.monotonic()
    while machine.processes():
        assert time.monotonic() - killed < 10, machine.processes()
        time.sleep(0.1)

    summary = machine.run()
    assert re.search(r"2026-01-05 +1 +1,000 +1,000 +0 +\d+ +\d+\n", summary)
    assert "2026-01-05  none\n" in summary
    assert re.search(r"outcomes-2026-01-06 +1,000 +1,000 +0\n", summary)
    assert "2026-01-06  warning: Other applicants than at training: Monthly income" in summary
    assert re.search(r"champion propensity: propensity-1 .* hold-out AUC 0\.\d{4}", summary)
    assert machine.processes() == []
    assert "outcomes-history" in summary
    assert "synthetic" in summary.splitlines()[0]
    assert "DATA: synthetic" in summary

    rows = machine.rows()
    assert "nothing to do" in machine.run()
    assert machine.rows() == rows
    batches = machine.status()["batches"]
    assert len(batches) == 3
    assert all(batch["source"].startswith("synthetic: ") for batch in batches)

    # A labelled file that is there now is refused: its loans are real.
    table = generate_loans(contract.load("loan_default"), 6000, seed=1)
    pyarrow.csv.write_csv(table, tmp_path / "loans.csv")
    refused = machine.run(code=1, LOAN_SCORING_SOURCE=str(tmp_path / "loans.csv"))
    assert "the database holds synthetic loans, but this run would add real ones" in refused
    assert machine.rows() == rows
