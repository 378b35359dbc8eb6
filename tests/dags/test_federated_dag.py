"""The DAG `federated` by dag.test() on real Postgres, with a result that is there at once."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.federated import service
from loan_scoring.federated.request import request_of
from loan_scoring.models import registry

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def federated(
    airflow_home: Path, ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The DAG of a contract whose regions are sites."""
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["federated"] = {"sites": {"column": "region"}, "rounds": 2, "min_loans": 5}
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(settings.home() / "dags" / "loan_scoring_federated.py").dags[
        "loan_default_federated"
    ]


def test_waiting_holds_no_worker(federated: Any) -> None:
    assert federated.get_task("wait").mode == "reschedule"
    assert federated.get_task("register").upstream_task_ids == {"start", "wait"}


def test_result_is_registered_and_judged(
    federated: Any, ready: Session, ready_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not settings.federated_python().is_file():
        pytest.skip("the environment of federated training is not there: make federated")

    def start_at_once(contract: Any, url: str, key: str) -> str:
        """Run to the end in this task, because dag.test() does not wait."""
        folder = settings.federated_dir(contract.portfolio) / "federated-now"
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(json.dumps(request_of(contract)))
        monkeypatch.setenv("LOAN_SCORING_SITE_URL", ready_url)
        service.take(folder)
        return folder.name

    monkeypatch.setattr(service, "start_run", start_at_once)
    run = federated.test(run_conf={"promote": "hold"})
    states = {each.task_id: each.state for each in run.get_task_instances()}
    assert states["wait"] == states["register"] == states["judge"] == "success"
    with open_session("loan_default", ready_url) as session:
        row = registry.model_row(session, "propensity-2")
    assert row["evaluation"]["federated"]["left_out"] == []
    assert row["training_data"]["trials_of"]
