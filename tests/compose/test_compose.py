"""docker-compose.yaml for real: two workers, one killed, and Postgres; the embedded run's rows.

Needs a Docker engine with Compose v2, and a quarter of an hour. LOAN_SCORING_COMPOSE_OVERRIDE names
a further compose file, for what is particular to a machine.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from holders import HELD_BY
from loan_scoring import contract, database, settings
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.local import env_file
from loan_scoring.local.airflow_client import AirflowClient
from loan_scoring.local.airflow_stack import STAGES
from loan_scoring.models.promotion.decide import promote_by_gates
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import score_batch

pytestmark = pytest.mark.compose

Digests = Callable[[Session, dict[str, str]], dict[str, str]]
REPOSITORY = Path(__file__).resolve().parents[2]
NIGHTS, PER_NIGHT, SLICES = 3, 2000, 8
SHARING = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
TABLES = {
    "current_scores": "to_jsonb(t) - 'scored_at'",
    "scores": "to_jsonb(t) - 'scored_at'",
    "mini_batches": "to_jsonb(t) - 'scored_at' - 'seconds'",
    "scoring_runs": "to_jsonb(t) - 'planned_at' - 'published_at'",
}
WRITING = """
    select host(client_addr) from pg_stat_activity
    where wait_event_type = 'Lock' and query ~ '^COPY .*scores'
"""
SCORED = """
    select count(*) filter (where state = 'scored'), count(*)
    from mini_batches where scoring_run_id like %s || '-%%'
"""


@pytest.fixture(scope="module")
def replayed(folders: Path, labelled_loans: Path | None) -> Replay:
    """History and three nights, under a contract whose gates a tenth of the loans passes."""
    path = settings.portfolios_dir() / "loan_default.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["scoring"]["mini_batch_rows"] = PER_NIGHT // SLICES
    raw["replay"]["generated_rows"] = 16_000
    raw["promotion"]["calibration_slope"] = [0.2, 5]
    raw["promotion"]["fairness"]["min_ratio"] = 0.2
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    (path.parent / "credit_data.yaml").unlink()
    return replay_loans(
        contract.load("loan_default"),
        source=str(labelled_loans) if labelled_loans else None,
        nights=NIGHTS,
        per_night=PER_NIGHT,
        scenarios={},
        landing=settings.landing_dir("loan_default"),
    )


@pytest.fixture(scope="module")
def embedded_rows(
    new_database: Callable[..., str], replayed: Replay, digests: Digests
) -> dict[str, str]:
    """What the same drops leave in the tables on the embedded Postgres, without Airflow."""
    with open_session("loan_default", new_database()) as session:
        ingest_batch(session, HISTORY, replayed.application_files[HISTORY])
        versions, _ = train(session)
        assert promote_by_gates(session, versions) == "promoted"
        for batch_id in replayed.batch_ids:
            ingest_batch(session, batch_id, replayed.application_files[batch_id])
            score_batch(session, batch_id)
        return digests(session, TABLES)


class Stack:
    """The project of docker-compose.yaml with a name, ports and secrets of its own."""

    def __init__(self, folder: Path, landing: Path, portfolios: Path) -> None:
        self.name = f"loan-scoring-test-{os.getpid()}"
        self.env = folder / ".env"
        env_file.write_env_file(self.env, "nonprod")
        self.port, self.postgres_port = free_port(), free_port()
        with self.env.open("a") as file:
            file.write(f"COMPOSE_PROJECT_NAME={self.name}\nLOAN_SCORING_IMAGE={self.name}:test\n")
            file.write(f"LOAN_SCORING_PORT={self.port}\nLOAN_SCORING_LANDING={landing}\n")
            file.write(f"LOAN_SCORING_POSTGRES_PORT={self.postgres_port}\n")
            file.write("LOAN_SCORING_WORKER_TASKS=2\n")
        self.secrets = dict(
            line.split("=", 1) for line in self.env.read_text().splitlines() if line[0] != "#"
        )
        mount = {"volumes": [f"{portfolios}:/opt/loan-scoring/include/portfolios:ro"]}
        override = folder / "portfolios.yaml"
        override.write_text(yaml.safe_dump({"services": dict.fromkeys(SHARING, mount)}))
        files = [REPOSITORY / "docker-compose.yaml", override]
        if particular := os.environ.get("LOAN_SCORING_COMPOSE_OVERRIDE"):
            files.append(Path(particular))
        self._compose = ["docker", "compose", f"--env-file={self.env}"]
        self._compose += [f"--file={file}" for file in files]

    def compose(self, *arguments: str) -> str:
        return docker_says(*self._compose[1:], *arguments)

    def containers(self, service: str) -> dict[str, str]:
        """Return the containers of a service: by address in the project's network, their ids."""
        found = {}
        for each in self.compose("ps", "--all", "--quiet", service).split():
            (told,) = json.loads(docker_says("inspect", each))
            networks = told["NetworkSettings"]["Networks"]
            found[networks[f"{self.name}_database"]["IPAddress"]] = each
        return found

    def client(self) -> AirflowClient:
        password = self.secrets["AIRFLOW_ADMIN_PASSWORD"]
        return AirflowClient(f"http://127.0.0.1:{self.port}", "admin", password, self.env.parent)

    def url(self) -> str:
        password = self.secrets["LOAN_SCORING_OWNER_PASSWORD"]
        return f"postgresql://loan_scoring:{password}@127.0.0.1:{self.postgres_port}/loan_scoring"

    def ask(self, query: str, *values: Any) -> list[tuple]:
        """Return a query's rows, by a connection of its own: Postgres is killed meanwhile."""
        options = "-c search_path=loan_default"
        with (
            closing(psycopg2.connect(self.url(), options=options)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query, values)
            return cursor.fetchall()

    def copy(self, name: str) -> str:
        """Copy the portfolio database, which nobody may be connected to. Return its URL."""
        password = self.secrets["POSTGRES_PASSWORD"]
        admin = f"postgresql://postgres:{password}@127.0.0.1:{self.postgres_port}/postgres"
        with closing(psycopg2.connect(admin)) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"create database {name} template loan_scoring")
            connection.cursor().execute(f"grant connect on database {name} to loan_scoring")
        return self.url().replace("/loan_scoring", f"/{name}")

    def remains(self) -> dict[str, str]:
        """Return what the engine still has of the project, by kind."""
        of = f"label=com.docker.compose.project={self.name}"
        kinds = {"container": ["--all"], "volume": [], "network": []}
        found = {
            kind: docker_says(kind, "ls", "--quiet", f"--filter={of}", *more)
            for kind, more in kinds.items()
        }
        return {kind: ids for kind, ids in found.items() if ids}


def docker_says(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-3000:]}"
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, is_so: Callable[[], Any], seconds: float = 900) -> Any:
    """Ask again and again, and return the first answer that is not empty."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, replayed: Replay, capsys_off: Callable[[str], None]
) -> Iterator[Stack]:
    if shutil.which("docker") is None:
        pytest.skip("no docker in PATH")
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip(f"no Docker engine answers: {asked.stderr.strip().splitlines()[-1]}")
    made = Stack(
        tmp_path_factory.mktemp("compose"),
        settings.data_dir() / "landing",
        settings.portfolios_dir(),
    )
    started = time.monotonic()
    try:
        made.compose("build")
        capsys_off(f"built after {time.monotonic() - started:.0f} s")
        made.compose("up", "--detach", "--wait", "--wait-timeout=600", "--scale=worker=2")
        capsys_off(f"healthy after {time.monotonic() - started:.0f} s")
        yield made
    finally:
        try:
            (made.env.parent / "logs.txt").write_text(made.compose("logs", "--no-color"))
        finally:
            made.compose("down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", f"{made.name}:test"], check=False)  # noqa: S607
    assert made.remains() == {}


@pytest.fixture(scope="module")
def capsys_off(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line past pytest's capture: this takes minutes, and someone may be watching."""
    manager = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with manager.global_and_fixture_disabled():
            print(f"\n{time.strftime('%H:%M:%S')} {line}", flush=True)  # noqa: T201

    return say


def test_no_process_has_a_secret_in_its_arguments_nor_one_that_it_does_not_use(
    stack: Stack,
) -> None:
    secrets = {
        name: value for name, value in stack.secrets.items()
        if name.endswith(("PASSWORD", "SECRET", "KEY"))
    }  # fmt: skip
    looked = 0
    for service in (*SHARING[1:], "postgres", "redis"):
        for container in stack.containers(service).values():
            for pid in docker_says("top", container, "-eo", "pid").split()[1:]:
                arguments = Path("/proc", pid, "cmdline").read_text(errors="replace")
                variables = Path("/proc", pid, "environ").read_text(errors="replace")
                looked += 1
                assert not [name for name in secrets if secrets[name] in arguments], service
                held = {name for name in secrets if secrets[name] in variables}
                assert held <= {name for name in secrets if service in HELD_BY[name]}, service
    assert looked > len(SHARING)


def test_two_workers_of_which_one_is_killed_and_postgres_too_leave_the_embedded_rows(
    embedded_rows: dict[str, str],
    digests: Digests,
    stack: Stack,
    replayed: Replay,
    capsys_off: Callable[[str], None],
) -> None:
    client, nights = stack.client(), replayed.batch_ids
    until("the DAGs are read", lambda: knows(client))
    for stage in STAGES:
        client.unpause(f"loan_default_{stage}")
    client.trigger("loan_default_ingest", conf={"batch_id": HISTORY})
    until("a champion", lambda: stack.ask("select * from champions where kind = 'propensity'"))
    capsys_off("a champion is in use")

    killed = kill_a_worker_that_scores(stack, client, nights[0])
    capsys_off(f"killed worker {killed[:12]} while it wrote scores")
    docker_says("start", killed)
    until("the first night is scored", lambda: progress(stack, nights)[0]["is_scored"])
    capsys_off("the first night is scored")

    for night in nights[1:]:
        client.trigger("loan_default_ingest", partition_key=night)
    until("some of the second night", lambda: 0 < slices(stack, nights[1])[0] < SLICES)
    (postgres,) = stack.containers("postgres").values()
    docker_says("kill", "--signal=KILL", postgres)
    capsys_off("killed Postgres while a night was being scored")
    docker_says("start", postgres)
    until("Postgres is back", lambda: healthy(postgres))
    until("compared", lambda: all(each["is_compared"] for each in progress(stack, nights)))
    capsys_off("three nights are compared")

    with open_session("loan_default", stack.url()) as session:
        assert digests(session, TABLES) == embedded_rows
    worked = {
        task["hostname"]
        for task in client._pages(
            "/api/v2/dags/loan_default_score/dagRuns/~/taskInstances", "task_instances"
        )
        if task["task_id"] == "score" and task["state"] == "success"
    }
    assert worked == {each[:12] for each in stack.containers("worker").values()}


def knows(client: AirflowClient) -> bool:
    there = {each["dag_id"] for each in client._pages("/api/v2/dags", "dags")}
    return {f"loan_default_{stage}" for stage in STAGES} <= there


def kill_a_worker_that_scores(stack: Stack, client: AirflowClient, night: str) -> str:
    """Kill the worker whose task stands in the middle of a mini-batch; return its container.

    That task is held there by a lock on the table that it writes to.
    """
    workers = stack.containers("worker")
    client.trigger("loan_default_ingest", partition_key=night)
    until("a planned night", lambda: slices(stack, night)[1])
    with closing(psycopg2.connect(stack.url())) as holder, holder.cursor() as cursor:
        cursor.execute("lock table loan_default.scores in exclusive mode")
        (address,) = until("a task that writes scores", lambda: stack.ask(WRITING))[0]
        docker_says("kill", "--signal=KILL", workers[address])
        assert slices(stack, night)[0] < SLICES
    return workers[address]


def slices(stack: Stack, night: str) -> tuple:
    return stack.ask(SCORED, night)[0]


def progress(stack: Stack, nights: list[str]) -> list[dict[str, Any]]:
    with open_session("loan_default", stack.url()) as session:
        return database.rows(session.connection, "select_progress", batch_ids=nights)


def healthy(container: str) -> bool:
    return docker_says("inspect", "--format={{.State.Health.Status}}", container) == "healthy"
