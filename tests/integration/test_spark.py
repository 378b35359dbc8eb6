"""Spark scores a night into the very rows of the tasks, also after kills; without it, one line.

What needs pyspark runs with LOAN_SCORING_SPARK_PYTHON, a Python that has the extra `spark`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import yaml

from loan_scoring import contract, settings
from loan_scoring.cli.main import main
from loan_scoring.database.session import open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.airflow_stack import airflow_stack
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.engine import DRIVER

pytestmark = pytest.mark.integration

PYTHON = os.environ.get("LOAN_SCORING_SPARK_PYTHON")
NIGHT = "2026-01-05"
PATIENCE_SECONDS = 900  # Spark starts slowly while all cores are busy
TABLES = {
    "current_scores": "to_jsonb(t) - 'scored_at'",
    "scores": "to_jsonb(t) - 'scored_at'",
    "mini_batches": "to_jsonb(t) - 'scored_at' - 'seconds'",
    "scoring_runs": "to_jsonb(t) - 'planned_at' - 'published_at'",
}
WRITING = """
    select client_port from pg_stat_activity
    where wait_event_type = 'Lock' and query ~ '^COPY .*scores'
"""

needs_spark = pytest.mark.skipif(PYTHON is None, reason="make test-spark runs it, with pyspark")


@pytest.fixture
def small(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract whose nights of 1,000 loans are four mini-batches, scored by Spark."""
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["scoring"] |= {"mini_batch_rows": 250, "engine": "spark"}
    (tmp_path / "portfolios").mkdir()
    (tmp_path / "portfolios" / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path / "portfolios"))


@pytest.fixture
def night(small: None, new_database: Callable[..., str], trained: Any, drops: Replay) -> str:
    """The URL of a database with an ingested night that is not scored."""
    url = new_database(template=trained.url)
    with open_session("loan_default", url) as session:
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
    return url


@pytest.fixture
def by_tasks(
    night: str, new_database: Callable[..., str], digests: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The rows that the engine `tasks` writes for the same night."""
    with monkeypatch.context() as patch:
        patch.setenv("LOAN_SCORING_ENGINE", "tasks")
        with open_session("loan_default", new_database(template=night)) as session:
            score_batch(session, NIGHT)
            return digests(session, TABLES)


@contextmanager
def scoring(url: str) -> Iterator[subprocess.Popen[str]]:
    """Run `loan-scoring score` in a session of processes of its own, which ends with the block."""
    command = [PYTHON, "-m", "loan_scoring.cli", "score", "--batch", NIGHT, "--database", url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def score(url: str) -> str:
    with scoring(url) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, err
    return out


@contextmanager
def held_worker(url: str, root: psutil.Process) -> Iterator[psutil.Process]:
    """Hold a worker in the middle of a mini-batch, by a lock on the table that it writes to."""
    with closing(psycopg2.connect(url)) as asking, asking.cursor() as watch:
        asking.autocommit = True

        def ask(query: str) -> set[int]:
            watch.execute(query)
            return {value for (value,) in watch.fetchall()}

        # Planning makes a partition, for which the lock would have to wait.
        until(root, lambda: ask("select 1 from loan_default.mini_batches limit 1"))
        with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
            cursor.execute("lock table loan_default.scores in exclusive mode")
            yield until(root, lambda: writer_of(root, ask(WRITING)))


def until(root: psutil.Process, find: Callable[[], Any]) -> Any:
    """Ask again and again, while scoring goes on. Return the first answer that is not empty."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        assert root.status() != psutil.STATUS_ZOMBIE, "scoring ended before it wrote scores"
        time.sleep(0.1)
    return found


def writer_of(root: psutil.Process, ports: set[int]) -> psutil.Process | None:
    """Return the process that has a connection from one of the ports."""
    children = root.children(recursive=True)
    return next((each for each in children if ports & ports_of(each)), None)


def ports_of(process: psutil.Process) -> set[int]:
    try:
        return {each.laddr.port for each in process.net_connections() if each.laddr}
    except psutil.NoSuchProcess:
        return set()


def rows_of(url: str, digests: Any) -> dict[str, str]:
    with open_session("loan_default", url) as session:
        return digests(session, TABLES)


@needs_spark
@pytest.mark.spark
def test_spark_writes_the_rows_of_the_tasks(
    night: str, by_tasks: dict[str, str], digests: Any
) -> None:
    assert "1000" in by_tasks["current_scores"]
    score(night)
    assert rows_of(night, digests) == by_tasks
    again = score(night)
    assert "scored" in again
    assert rows_of(night, digests) == by_tasks


@needs_spark
@pytest.mark.spark
def test_killed_worker_and_killed_driver_leave_the_same_rows(
    night: str, by_tasks: dict[str, str], digests: Any
) -> None:
    with scoring(night) as process:
        root = psutil.Process(process.pid)
        with held_worker(night, root) as worker:
            assert "pyspark" in " ".join(worker.cmdline())
            worker.kill()
            worker.wait(60)
        with held_worker(night, root):
            os.killpg(process.pid, signal.SIGKILL)
    with open_session("loan_default", night) as session, session.connection.cursor() as cursor:
        cursor.execute("select count(*) from current_scores")
        assert cursor.fetchone() == (0,)
    score(night)
    assert rows_of(night, digests) == by_tasks


@needs_spark
@pytest.mark.spark
def test_killed_worker_alone_does_not_fail_the_night(
    night: str, by_tasks: dict[str, str], digests: Any
) -> None:
    with scoring(night) as process:
        with held_worker(night, psutil.Process(process.pid)) as worker:
            worker.kill()
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, err
    assert rows_of(night, digests) == by_tasks


@needs_spark
@pytest.mark.spark
def test_killed_task_of_the_dag_is_tried_again_into_the_same_rows(
    night: str, by_tasks: dict[str, str], digests: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow runs on the Python that has pyspark.
    monkeypatch.setattr(sys, "executable", PYTHON)
    of = contract.load("loan_default")
    with airflow_stack([of], night) as client:
        client.unpause("loan_default_score")
        client.trigger("loan_default_score", partition_key=NIGHT)
        with held_worker(night, psutil.Process()) as worker:
            (driver,) = [each for each in worker.parents() if DRIVER in each.cmdline()]
            task = driver.parent()
            assert task is not None
            task.kill()
        until(psutil.Process(), lambda: client.dag_runs("loan_default_score", states=["success"]))
        tried = {
            each["task_id"]: each["try_number"]
            for each in client._pages(
                "/api/v2/dags/loan_default_score/dagRuns/~/taskInstances", "task_instances"
            )
        }
    assert tried == {"plan": 1, "score_on_spark": 2, "publish": 1}
    assert rows_of(night, digests) == by_tasks


def test_engine_without_its_packages_or_of_another_name_is_one_line(
    night: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["score", "--batch", NIGHT, "--database", night]
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(arguments) == 1
    error = capsys.readouterr().err.strip()
    assert "requirements-spark.txt" in error
    monkeypatch.undo()
    monkeypatch.setenv("LOAN_SCORING_ENGINE", "flink")
    assert main(arguments) == 1
    wrong = capsys.readouterr().err.strip()
    assert "LOAN_SCORING_ENGINE is flink; make it tasks or spark" in wrong
    assert "Traceback" not in error + wrong


@needs_spark
@pytest.mark.spark
def test_missing_java_is_one_line(night: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with scoring(night) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "install Java 17" in err.strip().splitlines()[-1]
    assert "Traceback" not in err


@needs_spark
@pytest.mark.spark
def test_master_that_is_none_is_one_line(night: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAN_SCORING_SPARK_MASTER", "host:7077")
    with scoring(night) as process:
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "Spark does not start on host:7077" in err.strip().splitlines()[-1]
    assert "LOAN_SCORING_SPARK_MASTER" in err.strip().splitlines()[-1]
    assert "Traceback" not in err


@needs_spark
@pytest.mark.spark
def test_what_fails_on_an_executor_is_one_line(night: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAN_SCORING_DATA", "/nowhere")
    with scoring(night) as process:
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "/nowhere" in err.strip().splitlines()[-1]
