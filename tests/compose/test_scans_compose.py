"""Scans in the containers for real: a worker is killed amid the pages, and each lands once."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import yaml
from test_compose import Stack, docker_says, until

from loan_scoring import settings

pytestmark = pytest.mark.compose

NIGHT = "2026-01-05"
FORMS = 24
LANDING = "/opt/loan-scoring/data/landing"
PAGES = "select count(*), count(distinct (file_name, page)) from scans where state <> 'refused'"
WRITING = """
    select host(client_addr) from pg_stat_activity
    where wait_event_type = 'Lock' and query ~ 'INTO scans'
"""
PUBLISHED = "select accepted from batches where state = 'published' and is_current"


class ScansStack(Stack):
    """The project's stack with an image that can read scans."""

    def __init__(self, folder: Path) -> None:
        path = settings.portfolios_dir() / "loan_default.yaml"
        raw = yaml.safe_load(path.read_text())
        # Only the test starts the DAG.
        raw.setdefault("schedules", {})["scans"] = "0 0 1 1 *"
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        super().__init__(folder, settings.data_dir() / "landing", settings.portfolios_dir())
        with self.env.open("a") as file:
            file.write("LOAN_SCORING_SCANS=1\n")


@pytest.fixture
def stack(folders: Path, tmp_path: Path) -> Iterator[ScansStack]:
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers")
    (settings.portfolios_dir() / "credit_data.yaml").unlink()
    (settings.data_dir() / "landing").mkdir(parents=True, exist_ok=True)
    (settings.data_dir() / "landing").chmod(0o777)
    made = ScansStack(tmp_path)
    try:
        made.compose("build")
        made.compose("up", "--detach", "--wait", "--wait-timeout=600", "--scale=worker=2")
        yield made
    finally:
        (tmp_path / "logs.txt").write_text(made.compose("logs", "--no-color"))
        made.compose("down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", f"{made.name}:test"], check=False)  # noqa: S607


def test_a_killed_worker_leaves_each_page_and_each_application_once(stack: ScansStack) -> None:
    workers = stack.containers("worker")
    assert len(workers) == 2
    folder = f"{LANDING}/loan_default/scans/{NIGHT}"
    command = ["scans", "simulate", "--n", str(FORMS), "--out", folder, "--quality", "good"]
    docker_says("exec", next(iter(workers.values())), "loan-scoring", *command)
    client = stack.client()
    stages = {f"loan_default_{stage}" for stage in ("scans", "ingest")}
    until(
        "the DAGs", lambda: stages <= {e["dag_id"] for e in client._pages("/api/v2/dags", "dags")}
    )
    for stage in ("scans", "ingest"):
        client.unpause(f"loan_default_{stage}")
    client.trigger("loan_default_scans")
    until("some pages", lambda: stack.ask(PAGES)[0][0] > 2)
    with closing(psycopg2.connect(stack.url())) as holder, holder.cursor() as cursor:
        # A page is being written then, neither recorded nor left out.
        cursor.execute("lock table loan_default.scans in exclusive mode")
        ((address,),) = until("who writes", lambda: stack.ask(WRITING))
        docker_says("kill", "--signal=KILL", workers[address])
        holder.rollback()
    assert stack.ask(PAGES)[0][0] < FORMS
    until("all pages", lambda: stack.ask(PAGES)[0][0] >= FORMS)
    assert stack.ask(PAGES) == [(FORMS, FORMS)]
    (accepted,) = until("the ingested night", lambda: stack.ask(PUBLISHED))[0]
    (passed,) = stack.ask("select count(*) from scans where state = 'passed'")[0]
    assert accepted == passed > 0
    once = "select count(*), count(distinct loan_id) from applications"
    assert stack.ask(once) == [(passed, passed)]
