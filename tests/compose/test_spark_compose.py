"""The profile `spark` for real: a master, two workers of which one is killed; the tasks' rows."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import yaml
from test_compose import TABLES, WRITING, Stack, docker_says, slices, until

from loan_scoring import settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.compose

Digests = Callable[[Session, dict[str, str]], dict[str, str]]
NIGHT = "2026-01-05"
PORTFOLIOS = "/opt/loan-scoring/include/portfolios"
IMAGE = "loan-scoring-spark:test"


class SparkStack(Stack):
    """The project's stack with the profile `spark`, on the models of the host."""

    def __init__(self, folder: Path) -> None:
        path = settings.portfolios_dir() / "loan_default.yaml"
        raw = yaml.safe_load(path.read_text())
        raw["scoring"]["mini_batch_rows"] = 125
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        super().__init__(folder, settings.data_dir() / "landing", settings.portfolios_dir())
        with self.env.open("a") as file:
            file.write(f"LOAN_SCORING_ARTIFACTS={settings.data_dir() / 'artifacts'}\n")
            file.write(f"LOAN_SCORING_SPARK_IMAGE={IMAGE}\n")
            file.write(f"LOAN_SCORING_BASE_IMAGE={self.name}:test\n")
        mount = {"volumes": [f"{settings.portfolios_dir()}:{PORTFOLIOS}:ro"]}
        override = folder / "spark.yaml"
        override.write_text(yaml.safe_dump({"services": {"spark-worker": mount}}))
        self._compose += [f"--file={override}", "--profile=spark"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[SparkStack]:
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers")
    made = SparkStack(tmp_path)
    try:
        made.compose("build", "init")
        made.compose("build", "spark-master")
        made.compose("up", "--detach", "--wait", "--wait-timeout=600", "postgres", "redis", "init",
                     "spark-master", "spark-worker")  # fmt: skip
        yield made
    finally:
        (tmp_path / "logs.txt").write_text(made.compose("logs", "--no-color"))
        made.compose("down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", IMAGE, f"{made.name}:test"], check=False)  # noqa: S607


def test_killed_spark_worker_leaves_the_rows_of_the_tasks(
    stack: SparkStack, drops: Replay, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_session("loan_default", stack.url()) as session:
        ingest_batch(session, "history", drops.application_files["history"])
        versions, _ = train(session)
        promote_by_hand(session, versions["propensity"], "cli:tests", "a small sample")
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
    copy_of(stack, "by_tasks")
    monkeypatch.setenv("LOAN_SCORING_ENGINE", "tasks")
    with open_session("loan_default", stack.url().replace("/loan_scoring", "/by_tasks")) as session:
        score_batch(session, NIGHT)
        expected = digests(session, TABLES)

    workers = stack.containers("spark-worker")
    assert len(workers) == 2
    driver, victim = workers.values()
    killed = next(address for address in workers if workers[address] == victim)
    command = ["docker", "exec", driver, "loan-scoring", "score", "--batch", NIGHT]
    with (
        closing(psycopg2.connect(stack.url())) as holder,
        holder.cursor() as cursor,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as scoring,
    ):
        until("a planned night", lambda: slices(stack, NIGHT)[1])
        cursor.execute("lock table loan_default.scores in exclusive mode")
        until("the worker writes scores", lambda: (killed,) in stack.ask(WRITING))
        docker_says("kill", "--signal=KILL", victim)
        holder.rollback()
        out, _ = scoring.communicate(timeout=900)
    assert scoring.returncode == 0, out
    with open_session("loan_default", stack.url()) as session:
        assert digests(session, TABLES) == expected


def copy_of(stack: SparkStack, name: str) -> None:
    """Make a copy of the portfolio's database, which nobody may be connected to."""
    password = stack.secrets["POSTGRES_PASSWORD"]
    url = f"postgresql://postgres:{password}@127.0.0.1:{stack.postgres_port}/postgres"
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {name} template loan_scoring")
        connection.cursor().execute(f"grant connect on database {name} to loan_scoring")
