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

import psycopg2
import pytest
import yaml

from loan_scoring.local import guard
from loan_scoring.local.postgres import EmbeddedPostgres

pytestmark = [pytest.mark.end_to_end, pytest.mark.integration]

JOB = "from loan_scoring.lab.main_job import MainJob, run_main_job\nprint(run_main_job({}))"
TWO_NIGHTS = "MainJob(nights=2, per_night=1000, drifted_nights=(2,))"
ONE_NIGHT = "MainJob(nights=1, per_night=1000, drifted_nights=())"
ROWS = """
    select (select count(*) from loan_default.applications),
           (select count(*) from loan_default.outcomes),
           (select count(*) from loan_default.drift),
           (select count(*) from loan_default.promotions),
           (select md5(string_agg(s::text, ',' order by loan_id))
              from loan_default.current_scores s)
"""


class Machine:
    """A fresh folder of state and data for the main job, as on a machine of its own."""

    def __init__(
        self, folder: Path, portfolios: Path, source: Path | None, job: str = TWO_NIGHTS
    ) -> None:
        self.code = JOB.format(job)
        self.state = folder / "state"
        self.log = folder / "job.log"
        self.environment = os.environ | {
            "LOAN_SCORING_STATE": str(self.state),
            "LOAN_SCORING_DATA": str(folder / "data"),
            "LOAN_SCORING_PORTFOLIOS": str(portfolios),
        }
        self.environment.pop("LOAN_SCORING_SOURCE", None)
        if source:
            self.environment["LOAN_SCORING_SOURCE"] = str(source)

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-c", self.code], env=self.environment, stdout=out, stderr=out
            )

    def run(self) -> str:
        before = self.log.stat().st_size if self.log.exists() else 0
        assert self.start().wait(400) == 0, self.log.read_text()
        return self.log.read_text()[before:]

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
        EmbeddedPostgres(self.state).stop()


@pytest.fixture
def machine(
    tmp_path: Path, lenient_portfolios: Path, labelled_loans: Path | None
) -> Iterator[Machine]:
    """A machine whose outcomes follow their night by one date."""
    raw = yaml.safe_load((lenient_portfolios / "loan_default.yaml").read_text())
    raw["replay"]["outcome_lag_nights"] = 1
    (tmp_path / "portfolios").mkdir()
    path = tmp_path / "portfolios" / "loan_default.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    made = Machine(tmp_path, path.parent, labelled_loans)
    yield made
    made.close()


def test_job_is_done_once_killed_or_not(machine: Machine) -> None:
    job = machine.start()
    deadline = time.monotonic() + 300
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

    rows = machine.rows()
    assert "nothing to do" in machine.run()
    assert machine.rows() == rows


def test_without_a_source_the_job_runs_on_generated_loans_and_says_so(
    tmp_path: Path, lenient_portfolios: Path
) -> None:
    machine = Machine(tmp_path, lenient_portfolios, None, ONE_NIGHT)
    try:
        summary = machine.run()
        assert "synthetic" in summary.splitlines()[0]
        assert "DATA: synthetic" in summary
        status = subprocess.run(
            [sys.executable, "-m", "loan_scoring.cli", "status", "--json"],
            env=machine.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        batches = json.loads(status.stdout)["batches"]
        assert len(batches) == 2
        assert all(batch["source"].startswith("synthetic: ") for batch in batches)
    finally:
        machine.close()
