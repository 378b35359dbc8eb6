"""A real Airflow with three replayed nights, the last of them drifted, and a real Chromium."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from browser.shots import SIZES, Watched, browsing
from loan_scoring.local.airflow_environment import PASSWORDS_FILE
from loan_scoring.local.airflow_status import stack_status
from loan_scoring.local.postgres import EmbeddedPostgres

JOB = """
from loan_scoring.lab.main_job import MainJob, run_main_job
print(run_main_job(MainJob(nights=3, per_night=1000, drifted_nights=(3,))))
"""
TRIES = 3
"""A busy machine may stop the job; another try continues it."""


@dataclass(frozen=True)
class Site:
    """A running Airflow with replayed nights."""

    url: str
    passwords: dict[str, str]
    database_url: str
    environment: dict[str, str]

    def row(self, query: str) -> tuple:
        """Return the one row of a query in the portfolio's schema."""
        connection = psycopg2.connect(self.database_url, options="-c search_path=loan_default")
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                found = cursor.fetchone()
                assert found is not None
                return found
        finally:
            connection.close()

    def change(self, statement: str, *values: Any) -> None:
        """Run a statement that changes rows of the portfolio's schema."""
        connection = psycopg2.connect(self.database_url, options="-c search_path=loan_default")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
        finally:
            connection.close()


@pytest.fixture(scope="package")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    labelled_loans: Path | None,
    lenient_portfolios: Path,
) -> Iterator[Site]:
    """Airflow as `make up` starts it, with history and three nights, the last of them drifted."""
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {
        "LOAN_SCORING_STATE": str(folder / "state"),
        "LOAN_SCORING_DATA": str(folder / "data"),
        "LOAN_SCORING_PORTFOLIOS": str(lenient_portfolios),
    }
    environment.pop("LOAN_SCORING_SOURCE", None)
    if labelled_loans:
        environment["LOAN_SCORING_SOURCE"] = str(labelled_loans)

    def python(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment, capture_output=True, text=True, timeout=1800, check=False,
        )  # fmt: skip

    try:
        done = python("-m", "loan_scoring.cli.run", "up")
        assert done.returncode == 0, done.stdout + done.stderr
        for _ in range(TRIES):
            done = python("-c", JOB)
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stdout + done.stderr
        running = stack_status(folder / "state")
        assert running is not None
        passwords = json.loads((folder / "state" / "airflow" / PASSWORDS_FILE).read_text())
        database_url = EmbeddedPostgres(folder / "state").start().url("loan_scoring")
        yield Site(running.url, passwords, database_url, environment)
    finally:
        python("-m", "loan_scoring.cli.run", "down")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """A Chromium: LOAN_SCORING_CHROMIUM, or the machine's, or Playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    named = os.environ.get("LOAN_SCORING_CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_api.sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no chromium in PATH, nor Playwright's own, nor LOAN_SCORING_CHROMIUM")
        # Chromium's sandbox needs a user namespace, which containers and root may not have.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


Browse = Callable[..., AbstractContextManager[Watched]]


@pytest.fixture(scope="package")
def browse(chromium: Any, site: Site) -> Browse:
    """Return a function that opens a page as a user: `with browse("viewer") as seen`."""
    known: dict[str, Any] = {}

    def go(
        user: str, size: tuple[int, int] = SIZES[0], theme: str = "light"
    ) -> AbstractContextManager[Watched]:
        return browsing(chromium, site.url, user, site.passwords[user], size, theme, known)

    return go


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots: LOAN_SCORING_SCREENSHOTS, or a temporary one."""
    named = os.environ.get("LOAN_SCORING_SCREENSHOTS")
    return Path(named) if named else tmp_path_factory.mktemp("screenshots")
