"""The profile `federated` for real: TLS, a node killed and back, a challenger that scores."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_compose import REPOSITORY, Stack, docker_says, until

from holders import SITES
from loan_scoring import database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.federated import service
from loan_scoring.federated.register import compare_result, register_result
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.promotion.shadows import begin_shadow
from loan_scoring.models.training.run import train
from loan_scoring.monitoring.shadow.nights import compare_night
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.mini_batch import score_mini_batch
from loan_scoring.scoring.shadow import plan_shadow

pytestmark = pytest.mark.compose
NIGHT = "2026-01-05"
NAMES = {"North", "south", "central", "North-East"}
TLS = """
import socket, ssl
def seen(context):
    with socket.create_connection(("superlink", 8000)) as plain:
        with context.wrap_socket(plain, server_hostname="superlink") as secure:
            return secure.version()
print(seen(ssl.create_default_context(cafile="certificates/ca.crt")))
try:
    seen(ssl.create_default_context())
except ssl.SSLCertVerificationError:
    print("not for others")
"""


class FederatedStack(Stack):
    """The project's stack with the profile `federated`, and a contract of few rounds."""

    def __init__(self, folder: Path) -> None:
        path = settings.portfolios_dir() / "loan_default.yaml"
        raw = yaml.safe_load(path.read_text())
        raw["federated"] = {"sites": {"column": "region"}, "rounds": 4, "min_loans": 5}
        raw["promotion"] |= {"shadow_nights": 2}
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        super().__init__(folder, settings.data_dir() / "landing", settings.portfolios_dir())
        self.image = f"{self.name}-federated:test"
        settings.federated_dir("loan_default").mkdir(parents=True, exist_ok=True)
        with self.env.open("a") as file:
            file.write(f"LOAN_SCORING_FEDERATED={settings.data_dir() / 'federated'}\n")
            file.write(f"LOAN_SCORING_FEDERATED_IMAGE={self.image}\nAIRFLOW_UID={os.getuid()}\n")
        mount = {"volumes": [f"{path.parent}:/opt/loan-scoring/include/portfolios:ro"]}
        override = folder / "federated.yaml"
        override.write_text(yaml.safe_dump({"services": dict.fromkeys(SITES, mount)}))
        self._compose += [f"--file={override}", "--profile=federated"]

    def set_up_database(self) -> None:
        """Make roles and tables, as the service `init` does."""
        secrets = {name: value for name, value in self.secrets.items() if "PASSWORD" in name}
        at = f"@127.0.0.1:{self.postgres_port}"
        urls = {
            "LOAN_SCORING_ADMIN_URL":
                f"postgresql://postgres:{self.secrets['POSTGRES_PASSWORD']}{at}/postgres",
            "LOAN_SCORING_OWNER_URL": self.url(),
        }  # fmt: skip
        for command in ("roles", "migrate"):
            subprocess.run(
                [".venv/bin/python", "-m", "loan_scoring.cli", command], cwd=REPOSITORY,
                env=os.environ | secrets | urls, check=True,
            )  # fmt: skip

    def sent(self, service_: str, site: str) -> int:
        """Return how many messages a site has logged."""
        script = f"cat /opt/loan-scoring/site/{site}/*.jsonl 2>/dev/null | wc -l"
        return int(self.compose("exec", "-T", service_, "sh", "-c", script))


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FederatedStack]:
    """Postgres, SuperLink and four nodes, all healthy."""
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers")
    monkeypatch.setenv("LOAN_SCORING_SERVED_SITES", "4")
    made = FederatedStack(tmp_path)
    try:
        made.compose("build", "federation-certificates")
        made.compose("up", "--detach", "--wait", "--pull=never", "postgres")
        made.set_up_database()
        yield made
    finally:
        (tmp_path / "logs.txt").write_text(made.compose("logs", "--no-color"))
        made.compose("down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", made.image], check=False)  # noqa: S607


def result_of(run: str) -> dict[str, Any]:
    """Wait for a run, and return its result."""
    until(f"the result of {run}", lambda: service.is_finished("loan_default", run))
    return service.read_result("loan_default", run)


def test_a_node_is_killed_and_comes_back_and_the_challenger_scores_a_night(
    stack: FederatedStack, drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = service.request_of
    monkeypatch.setattr(
        service, "request_of", lambda *given: ask(*given) | {"answer_within_seconds": 90}
    )
    with open_session("loan_default", stack.url()) as session:
        ingest_batch(session, "history", drops.application_files["history"])
        stack.compose("up", "--detach", "--wait", "--wait-timeout=600", "--pull=never",
                      "superlink", "federation", *sorted(SITES))  # fmt: skip
        said = stack.compose("exec", "-T", "federation", "python", "-c", TLS)
        assert said.split("\n")[:2] == ["TLSv1.3", "not for others"]

        # A node is killed once it has sent trees: the run ends without it, and names it.
        run = service.start_run(session.contract, "")
        until("trees of central", lambda: stack.sent("site-central", "central") >= 4)
        docker_says("kill", "--signal=KILL", *stack.containers("site-central").values())
        result = result_of(run)
        assert [each["site"] for each in result["left_out"]] == ["central"]
        assert result["left_out"][0]["round"] >= 1
        assert {each["site"] for each in result["sites"]} == NAMES - {"central"}

        # The node comes back, and takes part in the next run.
        stack.compose("up", "--detach", "--wait", "--wait-timeout=600", "--pull=never",
                      *sorted(SITES))  # fmt: skip
        result = result_of(service.start_run(session.contract, ""))
        assert result["left_out"] == []
        assert {each["site"] for each in result["sites"]} == NAMES
        challenger_scores(session, json.loads(json.dumps(result)), drops)


def challenger_scores(session: Session, result: dict[str, Any], drops: Replay) -> None:
    """Register the result beside a champion, and let it score a night in shadow."""
    champion, _ = train(session)
    promote_by_hand(session, champion["propensity"], "cli:tests", "a champion")
    versions = register_result(session, result, compare_result(session, result), "cli:tests")
    ingest_batch(session, NIGHT, drops.application_files[NIGHT])
    score_batch(session, NIGHT)
    begin_shadow(session, versions, "cli:tests")
    planned = plan_shadow(session, NIGHT)
    assert planned is not None
    for mini_batch in planned.mini_batches:
        score_mini_batch(session, planned.scoring_run_id, mini_batch)
    compare_night(session, planned.scoring_run_id)
    query = f"select loans from shadow_nights where propensity_version = '{versions['propensity']}'"
    assert int(database.select_read_only(session.connection, query)[1][0][0]) == 1000
