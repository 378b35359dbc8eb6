"""The DAG `federated` on a real scheduler: killed, cleared, again, and a night in shadow."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import contract, database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay, replay_loans
from loan_scoring.local.airflow_client import AirflowClient, DagRun
from loan_scoring.local.airflow_stack import airflow_stack, stages_of
from loan_scoring.local.postgres import embedded
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import promote_by_gates
from loan_scoring.models.training.run import train

pytestmark = [pytest.mark.federated, pytest.mark.end_to_end, pytest.mark.integration]

DAG = "loan_default_federated"
NIGHT = "2026-01-05"
PATIENCE_SECONDS = 1500


@pytest.fixture
def drops_here(
    tmp_path: Path, labelled_loans: Path | None, lenient_portfolios: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Replay:  # fmt: skip
    """History and a night, under a contract with sites and one night in shadow."""
    if "LOAN_SCORING_FEDERATED_PYTHON" not in os.environ:
        pytest.skip("takes minutes: make test-federated")
    raw = yaml.safe_load((lenient_portfolios / "loan_default.yaml").read_text())
    raw["federated"] = {"sites": {"column": "region"}, "rounds": 3, "min_loans": 5}
    raw["promotion"] |= {"shadow_nights": 2}
    (tmp_path / "portfolios").mkdir()
    path = tmp_path / "portfolios" / "loan_default.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(path.parent))
    monkeypatch.setenv("LOAN_SCORING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    return replay_loans(
        contract.load("loan_default"), source=str(labelled_loans) if labelled_loans else None,
        nights=1, per_night=500, scenarios={}, landing=settings.landing_dir("loan_default"),
    )  # fmt: skip


@pytest.fixture
def running(drops_here: Replay) -> Iterator[tuple[Session, AirflowClient]]:
    """A session with a champion, and a running Airflow."""
    of = contract.load("loan_default")
    url = embedded().start().url("loan_scoring")
    try:
        with open_session("loan_default", url) as session:
            ingest_batch(session, "history", drops_here.application_files["history"])
            versions, _ = train(session)
            assert promote_by_gates(session, versions) == "promoted"
            with airflow_stack([of], url) as client:
                for stage in stages_of(of):
                    client.unpause(f"loan_default_{stage}")
                yield session, client
    finally:
        embedded().stop()


def wait(what: str, until: Callable[[], Any]) -> Any:
    """Wait until a function returns something, and return it."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not (found := until()):
        assert time.monotonic() < ends, f"no end of waiting for {what}"
        time.sleep(0.3)
    return found


def states(client: AirflowClient, run: DagRun) -> dict[str, str]:
    """Return the state of each task of a run."""
    path = f"/api/v2/dags/{DAG}/dagRuns/{run.run_id}/taskInstances"
    return {each["task_id"]: each["state"] for each in client._pages(path, "task_instances")}


def end_of(client: AirflowClient, run: DagRun) -> str:
    """Return the state in which a run ends."""
    return wait(
        f"the end of {run.run_id}",
        lambda: next(
            (each.state for each in client.dag_runs(DAG, states=["success", "failed"])
             if each.run_id == run.run_id), None,
        ),
    )  # fmt: skip


def engine() -> int | None:
    """Return the number of the engine's process."""
    for each in Path("/proc").iterdir():
        try:
            command = (each / "cmdline").read_bytes() if each.name.isdigit() else b""
        except OSError:
            continue
        folder = str(settings.data_dir()).encode()
        if b"loan_scoring.federated.engine" in command and folder in command:
            return int(each.name)
    return None


def versions(session: Session) -> list[str]:
    """Return the versions of all propensity models."""
    found = database.rows(session.connection, "select_models")
    session.connection.rollback()
    return sorted(each["model_version"] for each in found if each["kind"] == "propensity")


def test_killed_started_anew_and_again_gives_one_challenger_that_scores_a_night(
    running: tuple[Session, AirflowClient],
) -> None:
    session, client = running
    assert versions(session) == ["propensity-1"]

    # The engine is killed: the task `wait` fails at its first try, with one line.
    run = client.trigger(DAG)
    number = wait("the engine", engine)
    os.kill(number, signal.SIGSTOP)
    wait("the end of start", lambda: states(client, run)["start"] == "success")
    os.kill(number, signal.SIGKILL)
    assert end_of(client, run) == "failed"
    (failed,) = client.failed_tasks(DAG, run.run_id)
    assert failed.task_id == "wait"
    assert failed.log.name == "attempt=1.log"
    assert "the engine of the federated run was killed (signal 9)" in failed.cause
    assert "\n" not in failed.cause

    # The same run, cleared: while the sites learn, no worker is held.
    body = {
        "dry_run": False, "dag_run_id": run.run_id, "task_ids": ["start"],
        "include_downstream": True, "only_failed": False, "reset_dag_runs": True,
    }  # fmt: skip
    client._call("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", body)
    number = wait("the engine", engine)
    os.kill(number, signal.SIGSTOP)  # sites that take long
    wait("a wait", lambda: states(client, run)["wait"] == "up_for_reschedule")
    assert states(client, run)["start"] == "success"
    os.kill(number, signal.SIGCONT)
    assert end_of(client, run) == "success"
    assert versions(session) == ["propensity-1", "propensity-2"]
    row = registry.model_row(session, "propensity-2")
    assert row["evaluation"]["federated"]["left_out"] == []

    # Another run learns the same, and registers nothing new.
    assert end_of(client, client.trigger(DAG)) == "success"
    assert versions(session) == ["propensity-1", "propensity-2"]

    # The challenger scores a night beside the champion.
    client.trigger("loan_default_ingest", partition_key=NIGHT)
    compared = (
        "select loans from shadow_nights where propensity_version = 'propensity-2'"
        f" and batch_id = '{NIGHT}'"
    )
    found = wait("the night in shadow",
                 lambda: database.select_read_only(session.connection, compared)[1])  # fmt: skip
    assert int(found[0][0]) == 500
