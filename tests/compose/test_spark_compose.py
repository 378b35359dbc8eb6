"""The profile `spark` for real: two workers, one killed, driven by a shell and by Airflow.

Both leave the rows of the tasks.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import yaml
from test_compose import TABLES, WRITING, Stack, docker_says, knows, slices, until

from loan_scoring import settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.compose

Digests = Callable[[Session, dict[str, str]], dict[str, str]]
NIGHT, NEXT = "2026-01-05", "2026-01-06"
PORTFOLIOS = "/opt/loan-scoring/include/portfolios"
IMAGE = "loan-scoring-spark:test"
OVER = ("success", "failed")
UP = ("up", "--detach", "--wait", "--wait-timeout=600")


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
            file.write(f"LOAN_SCORING_SPARK_IMAGE={IMAGE}\nLOAN_SCORING_WORKER_IMAGE={IMAGE}\n")
            file.write("LOAN_SCORING_ENGINE=spark\n")
            file.write(f"LOAN_SCORING_BASE_IMAGE={self.name}:test\n")
        mount = {"volumes": [f"{settings.portfolios_dir()}:{PORTFOLIOS}:ro"]}
        override = folder / "spark.yaml"
        override.write_text(yaml.safe_dump({"services": {"spark-worker": mount}}))
        self._compose += [f"--file={override}", "--profile=spark"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, drops: Replay) -> Iterator[SparkStack]:
    """A running stack on whose database a model is in use and two nights are ingested."""
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers")
    folder = tmp_path_factory.mktemp("compose")
    made = SparkStack(folder)
    try:
        made.compose("build", "init")
        made.compose("build", "spark-master")
        made.compose(*UP, "spark-master", "spark-worker")
        with open_session("loan_default", made.url()) as session:
            ingest_batch(session, "history", drops.application_files["history"])
            versions, _ = train(session)
            promote_by_hand(session, versions["propensity"], "cli:tests", "a small sample")
            for night in (NIGHT, NEXT):
                ingest_batch(session, night, drops.application_files[night])
        yield made
    finally:
        (folder / "logs.txt").write_text(made.compose("logs", "--no-color"))
        made.compose("down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", IMAGE, f"{made.name}:test"], check=False)  # noqa: S607


def test_killed_spark_worker_leaves_the_rows_of_the_tasks(
    stack: SparkStack, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows_by_tasks(stack, NIGHT, digests, monkeypatch)
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


def test_airflow_scores_on_the_cluster(
    stack: SparkStack, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is in Airflow's worker, which is in two networks. Executors are in one of them."""
    expected = rows_by_tasks(stack, NEXT, digests, monkeypatch)
    stack.compose(*UP, "api-server", "scheduler", "dag-processor", "worker")
    client = stack.client()
    until("the DAGs are read", lambda: knows(client))
    client.unpause("loan_default_score")
    client.trigger("loan_default_score", partition_key=NEXT)
    until("the run is over", lambda: client.dag_runs("loan_default_score", states=OVER))
    (run,) = client.dag_runs("loan_default_score")
    assert run.state == "success", client.failed_tasks("loan_default_score")
    with open_session("loan_default", stack.url()) as session:
        assert digests(session, TABLES) == expected


def rows_by_tasks(
    stack: SparkStack, night: str, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Score a night by tasks in a copy of the portfolio's database. Return digests of the rows."""
    name = f"by_tasks_{night.replace('-', '_')}"
    copy_of(stack, name)
    monkeypatch.setenv("LOAN_SCORING_ENGINE", "tasks")
    url = f"{stack.url().rpartition('/')[0]}/{name}"
    with open_session("loan_default", url) as session:
        score_batch(session, night)
        return digests(session, TABLES)


def copy_of(stack: SparkStack, name: str) -> None:
    """Make a copy of the portfolio's database, which nobody may be connected to."""
    password = stack.secrets["POSTGRES_PASSWORD"]
    url = f"postgresql://postgres:{password}@127.0.0.1:{stack.postgres_port}/postgres"
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"create database {name} template loan_scoring")
        connection.cursor().execute(f"grant connect on database {name} to loan_scoring")
