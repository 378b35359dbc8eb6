"""Hand scoring to Spark: start a driver as a process of its own, and return what it reports.

The driver is a process because the JVM and pyspark take half a gigabyte that no other stage needs.
This module does not import pyspark.
"""

import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.scoring.mini_batch import scoring_run

log = logging.getLogger(__name__)

DRIVER = "loan_scoring.scoring.spark_job"
INSTALL = "`.venv/bin/uv pip install --require-hashes -r requirements-spark.txt`"
JAVA = "install Java 17 (Debian: `apt-get install default-jre-headless`) or set JAVA_HOME"


def engine_of(contract: Contract) -> str:
    """Return the engine that scores: that of LOAN_SCORING_ENGINE, or else of the contract.

    Raises:
        ContractError: the variable names no engine.
    """
    return settings.engine() or contract.scoring.engine


def score_on_spark(session: Session, run_id: str) -> int:
    """Score all mini-batches of a planned run on Spark. Return the number of applications.

    Raises:
        StateError: there is no such run, pyspark or Java is missing, or Spark failed.
    """
    run = scoring_run(session, run_id)
    if run["applications"]:
        run_driver(session, "--run", run_id)
    return int(run["applications"])


def score_lake_on_spark(
    session: Session, batch_id: str, applications: str, scores: str
) -> dict[str, Any]:
    """Score applications of a lake on Spark. Return what `score_lake` returns.

    Raises:
        StateError: pyspark or Java is missing, or Spark or the driver failed.
    """
    return run_driver(
        session, "--batch", batch_id, "--applications", applications, "--scores", scores
    )


def run_driver(session: Session, *arguments: str) -> dict[str, Any]:
    """Run Spark's driver with arguments, on the database of the session. Return its report.

    The database URL goes through the environment, because every process of a machine can read the
    arguments of others. Lines that Spark writes are logged.

    Raises:
        StateError: pyspark or Java is missing, or the driver failed.
    """
    refuse_without_spark()
    environment = {**os.environ, "LOAN_SCORING_DATABASE_URL": _url(session)}
    last: deque[str] = deque(maxlen=1)
    with tempfile.TemporaryDirectory(prefix="loan-scoring-") as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", DRIVER, "--portfolio", session.contract.portfolio]
        command += ["--report", str(report), *arguments]
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as driver:
            try:
                assert driver.stdout is not None  # noqa: S101 - it is a pipe
                for line in map(str.strip, driver.stdout):
                    log.info("spark: %s", line)
                    last.append(line or "".join(last))
                driver.wait()
            finally:
                driver.terminate()  # where a task is ended by its timeout, its driver ends too
        if not report.exists():
            raise StateError(
                f"Spark's driver ended with code {driver.returncode} before it was done "
                f"({' '.join(last) or 'without a message'}); run again: what is scored stays scored"
            )
        found: dict[str, Any] = json.loads(report.read_text())
    if "error" in found:
        raise StateError(found["error"])
    return found


def refuse_without_spark() -> None:
    """Raise a StateError that names the cure if pyspark or Java is missing."""
    if importlib.util.find_spec("pyspark") is None:
        raise StateError(f"the engine spark needs the extra spark: {INSTALL}; or set engine: tasks")
    home = os.environ.get("JAVA_HOME")
    if shutil.which(str(Path(home) / "bin" / "java") if home else "java") is None:
        raise StateError(f"the engine spark needs Java, which is not here: {JAVA}")


def _url(session: Session) -> str:
    """Return the URL of a session's database, with the password and the settings of TLS."""
    known = session.connection.info
    tls = {name: value for name, value in known.dsn_parameters.items() if name.startswith("ssl")}
    url = URL.create(
        "postgresql", known.user, known.password, known.host, known.port, known.dbname, query=tls
    )
    return url.render_as_string(hide_password=False)
