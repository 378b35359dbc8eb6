"""MLflow asks for a login, shows models to its viewer, and neither it nor its role writes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from loan_scoring import database
from loan_scoring.cli.main import main
from loan_scoring.database.session import Session
from loan_scoring.local.postgres import embedded
from loan_scoring.models.mlflow_mirror import mirror_models

pytestmark = pytest.mark.integration

PASSWORD = "a secret of the tests"
API = "/api/2.0/mlflow"
WRITES = [
    ("POST", f"{API}/experiments/create", {"name": "mine"}),
    ("POST", f"{API}/experiments/delete", {"experiment_id": "1"}),
    ("POST", f"{API}/experiments/update", {"experiment_id": "1", "new_name": "mine"}),
    ("POST", f"{API}/runs/create", {"experiment_id": "1"}),
    ("POST", f"{API}/runs/delete", {"run_id": "RUN"}),
    ("POST", f"{API}/runs/log-metric", {"run_id": "RUN", "key": "auc", "value": 1, "timestamp": 1}),
    ("POST", f"{API}/runs/set-tag", {"run_id": "RUN", "key": "loan_scoring.id", "value": "x"}),
    ("POST", f"{API}/registered-models/create", {"name": "mine"}),
    ("DELETE", f"{API}/registered-models/delete", {"name": "loan_default.propensity"}),
    (
        "POST",
        f"{API}/registered-models/alias",
        {"name": "loan_default.propensity", "alias": "champion", "version": "1"},
    ),
    ("POST", f"{API}/users/create", {"username": "other", "password": "another secret"}),
]
ALLOWED = {"PATH", "HOME", "LANG", "PYTHONPATH"}


def reader_of(session: Session) -> str:
    place = embedded().url(database.MLFLOW).rpartition("/")[0]
    return f"{place}/{session.connection.info.dbname}"


class Server:
    def __init__(self, url: str, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {name: value for name, value in os.environ.items() if name in ALLOWED}
        environment |= {"LOAN_SCORING_MLFLOW_URL": url, "MLFLOW_VIEWER_PASSWORD": PASSWORD}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loan_scoring.cli", "models", "mlflow", "--port", str(port)],
                env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self.is_up():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def client(self, password: str = PASSWORD) -> httpx.Client:
        login = ("viewer", password)
        return httpx.Client(base_url=self.url, auth=login, timeout=60, trust_env=False)


@pytest.fixture
def server(ready: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("LOAN_SCORING_MLFLOW_ARTIFACTS", str(tmp_path / "mlflow"))
    mirror_models(ready)
    started = Server(reader_of(ready), tmp_path / "server.log")
    yield started
    os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()


def everything(session: Session) -> list:
    tables = database.select_read_only(
        session.connection,
        "select tablename from pg_tables where schemaname = 'mlflow' order by 1",
    )[1]
    query = " union all ".join(
        f"select '{name}', md5(string_agg(t::text, '|' order by t::text)) from mlflow.{name} t"
        for (name,) in tables
    )
    return database.select_read_only(session.connection, query)[1]


@pytest.mark.attack
def test_viewer_reads_and_nothing_can_be_written(
    server: Server, ready: Session, tmp_path: Path
) -> None:
    for password in (None, "", "another password"):
        login = None if password is None else ("viewer", password)
        for path in ("/", f"{API}/experiments/search?max_results=9", "/get-artifact?path=x"):
            answer = httpx.get(server.url + path, auth=login, trust_env=False)
            assert answer.status_code == 401, path
    before = everything(ready)
    with server.client() as client:
        experiments = client.post(f"{API}/experiments/search", json={"max_results": 9}).json()
        (ours,) = [e for e in experiments["experiments"] if e["name"] == "loan_default"]
        runs = client.post(
            f"{API}/runs/search", json={"experiment_ids": [ours["experiment_id"]]}
        ).json()["runs"]
        assert len(runs) == 6
        (model,) = [
            run for run in runs if {"key": "what", "value": "model"} in run["data"]["tags"]
            and run["info"]["run_name"] == "propensity-1"
        ]  # fmt: skip
        run_id = model["info"]["run_id"]
        shown = client.get("/get-artifact", params={"run_id": run_id, "path": "metrics.json"})
        assert "auc" in shown.json()
        for method, path, body in WRITES:
            sent = {key: run_id if value == "RUN" else value for key, value in body.items()}
            if "experiment_id" in sent:
                sent["experiment_id"] = ours["experiment_id"]
            answer = client.request(method, path, json=sent)
            assert answer.status_code >= 400, (path, answer.text)
        upload = {"run_uuid": run_id, "path": "metrics.json"}
        for place in ("upload-artifact", f"upload-artifact?run_uuid={run_id}&path=metrics.json"):
            answer = client.post(f"/ajax-api/2.0/mlflow/{place}", params=upload, content=b"{}")
            assert answer.status_code >= 400
        proxy = "/api/2.0/mlflow-artifacts/artifacts/mine"
        assert client.put(proxy, content=b"x").status_code >= 400
        jobs = client.post("/ajax-api/3.0/jobs/", json={"job_name": "x", "params": {}})
        assert jobs.status_code >= 400
    assert everything(ready) == before
    assert not list((tmp_path / "mlflow").rglob("mine"))
    see_no_secrets(server, ready)


def see_no_secrets(server: Server, ready: Session) -> None:
    """No command line of the server has a secret, and its processes have none of ours but one."""
    started = psutil.Process(server.process.pid)
    family = [started, *started.children(recursive=True)]
    assert len(family) > 1
    secrets = {PASSWORD, reader_of(ready).partition("@")[0].rpartition(":")[2]}
    for process in family:
        line = " ".join(process.cmdline())
        assert not [secret for secret in secrets if secret in line], line
    for process in family[1:]:
        held = process.environ()
        assert held["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
        assert PASSWORD not in held.values()
        assert not [name for name in held if name.startswith(("LOAN_SCORING", "AIRFLOW"))]


@pytest.mark.attack
def test_role_of_the_server_selects_from_the_mirror_and_nothing_else(ready: Session) -> None:
    mirror_models(ready)
    with psycopg2.connect(reader_of(ready)) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from mlflow.runs")
        assert cursor.fetchone() == (6,)
        for attack in (
            "select * from loan_default.applications",
            "update mlflow.runs set status = 'FAILED'",
            "insert into mlflow.experiments (name) values ('mine')",
            "create table mlflow.mine (x int)",
        ):
            connection.rollback()
            with pytest.raises(InsufficientPrivilege):
                cursor.execute(attack)


def test_server_without_tables_or_with_a_short_password_says_what_to_do(
    empty: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("LOAN_SCORING_MLFLOW_URL", reader_of(empty))
    monkeypatch.setenv("MLFLOW_VIEWER_PASSWORD", "short")
    assert main(["models", "mlflow"]) == 1
    assert "needs at least 12 characters" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_VIEWER_PASSWORD", PASSWORD)
    assert main(["models", "mlflow"]) == 1
    assert "run `loan-scoring models mlflow --prepare`" in capsys.readouterr().err
