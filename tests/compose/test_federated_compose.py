"""The profile `federated` for real: a SuperLink, four nodes, TLS, and the reader's rights only."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_compose import REPOSITORY, docker_says, free_port

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.federated import service
from loan_scoring.federated.register import compare_result, register_result
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local import env_file

pytestmark = pytest.mark.compose
HISTORY = "history"
SERVICES = (
    "superlink",
    "federation",
    "site-north",
    "site-south",
    "site-central",
    "site-north-east",
)


@pytest.fixture
def federation(tmp_path: Path, drops: Replay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on the Postgres of compose, with history in it. The nodes are healthy."""
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers")
    # The image has the contracts of the repository.
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(REPOSITORY / "include" / "portfolios"))
    name, port = f"federated-test-{os.getpid()}", free_port()
    env = tmp_path / ".env"
    env_file.write_env_file(env, "nonprod")
    artifacts = settings.data_dir() / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    with env.open("a") as file:
        file.write(f"COMPOSE_PROJECT_NAME={name}\nLOAN_SCORING_POSTGRES_PORT={port}\n")
        file.write(f"LOAN_SCORING_ARTIFACTS={artifacts}\nAIRFLOW_UID={os.getuid()}\n")
        file.write(f"LOAN_SCORING_FEDERATED_IMAGE={name}:test\n")
    secrets = dict(line.split("=", 1) for line in env.read_text().splitlines() if line[0] != "#")
    compose = ["compose", f"--env-file={env}", f"--file={REPOSITORY / 'docker-compose.yaml'}"]
    if particular := os.environ.get("LOAN_SCORING_FEDERATED_OVERRIDE"):
        compose.append(f"--file={particular}")
    compose += ["--profile=federated"]
    owner = f"postgresql://loan_scoring:{secrets['LOAN_SCORING_OWNER_PASSWORD']}@127.0.0.1:{port}"
    try:
        docker_says(*compose, "build", "federation-certificates")
        docker_says(*compose, "up", "--detach", "--wait", "--pull=never", "postgres")
        admin = f"postgresql://postgres:{secrets['POSTGRES_PASSWORD']}@127.0.0.1:{port}/postgres"
        variables = {key: value for key, value in secrets.items() if key.endswith("PASSWORD")}
        variables |= {"LOAN_SCORING_ADMIN_URL": admin,
                      "LOAN_SCORING_OWNER_URL": f"{owner}/loan_scoring"}  # fmt: skip
        for command in ("roles", "migrate"):
            subprocess.run(
                [".venv/bin/python", "-m", "loan_scoring.cli", command], cwd=REPOSITORY,
                env=os.environ | variables, check=True,
            )  # fmt: skip
        with open_session("loan_default", f"{owner}/loan_scoring") as session:
            ingest_batch(session, HISTORY, drops.application_files[HISTORY])
            docker_says(*compose, "up", "--detach", "--wait", "--pull=never", *SERVICES)
            monkeypatch.setenv("LOAN_SCORING_SERVED_SITES", "4")
            yield session
    finally:
        logs = docker_says(*compose, "logs", "--no-color")
        (tmp_path / "logs.txt").write_text(logs)
        docker_says(*compose, "down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", f"{name}:test"], check=False)  # noqa: S607


def test_sites_in_containers_train_one_model(federation: Session) -> None:
    contract: Contract = federation.contract
    run = service.start_run(contract, "")
    until = time.monotonic() + 2400
    while not service.is_finished(contract.portfolio, run):
        assert time.monotonic() < until
        time.sleep(1)
    result = service.read_result(contract.portfolio, run)
    assert {each["site"] for each in result["sites"]} | {
        each["site"] for each in result["left_out"]
    } == {"North", "south", "central", "North-East"}
    assert len(result["sites"]) >= 2
    comparison = compare_result(federation, json.loads(json.dumps(result)))
    versions = register_result(federation, result, comparison, "cli:tests")
    assert versions["propensity"].startswith("propensity-")
