"""A person decides on a promotion: asked in Airflow, answered over the REST API its UI uses."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.models import registry
from loan_scoring.models.promotion.decide import promote_by_hand

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

DETAILS = "/api/v2/dags/loan_default_train/dagRuns/~/hitlDetails"
REAL_PORTFOLIOS = settings.portfolios_dir()
VERDICTS = """
    select model_version, verdict, replaces, decided_by, comment
    from promotions where decided_by not like 'cli:%' order by promotion_id
"""


@pytest.fixture
def train(
    airflow_home: Path,
    ready: Session,
    challenge: Callable[..., dict[str, str]],
    ready_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """The train DAG on a database with a weak champion, so that training finds a better pair.

    It is parsed for each test: within one process a run's params stay with the DAG object.
    The contract's other gates pass everything: they see only a tenth of the loans.
    """
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["promotion"] |= {"calibration_slope": [0.1, 10]}
    raw["promotion"]["fairness"] |= {"min_ratio": 0.01}
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    challenge("weak", ["income_usd_per_month", "term_months"], max_iter=10)
    promote_by_hand(ready, "propensity-2", "cli:tests", "a weak champion")
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(settings.home() / "dags" / "loan_scoring_train.py")
    return bag.dags["loan_default_train"]


@pytest.fixture(scope="session")
def api(airflow_home: Path) -> Iterator[Any]:
    """A client of Airflow's REST API."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core")) as client:
        yield client


def token(api: Any, user: str) -> dict[str, str]:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    password = SimpleAuthManager.get_passwords()[user]
    found = api.post("/auth/token", json={"username": user, "password": password})
    return {"Authorization": f"Bearer {found.json()['access_token']}"}


def waiting(api: Any) -> dict[str, Any]:
    """Return the open question, once its task waits for the answer."""
    for _ in range(240):
        found = api.get(
            DETAILS, params={"response_received": False}, headers=token(api, "ann")
        ).json()["hitl_details"]
        if found and found[0]["task_instance"]["state"] == "awaiting_input":
            return found[0]
        time.sleep(0.25)
    raise AssertionError("no task asked a question within a minute")


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def set_trigger(run_id: str, user: str) -> None:
    """Record in Airflow that a user started a training."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        run = update(DagRun).where(DagRun.run_id == run_id)
        session.execute(run.values(triggering_user_name=user))


def verdicts(session: Session) -> list:
    return database.select_read_only(session.connection, VERDICTS)[1]


@pytest.mark.parametrize(
    ("option", "verdict", "champion"),
    [("Promote", "promoted", "propensity-1"), ("Reject", "rejected", "propensity-2")],
)
def test_answer_is_recorded_with_the_airflow_user(
    train: Any, ready: Session, api: Any, option: str, verdict: str, champion: str
) -> None:
    seen: dict[str, Any] = {}

    def answer() -> None:
        seen.update(question := waiting(api))
        ti = question["task_instance"]
        place = f"/api/v2/dags/{ti['dag_id']}/dagRuns/{ti['dag_run_id']}/taskInstances"
        place += f"/{ti['task_id']}/-1/hitlDetails"
        body = {"chosen_options": [option], "params_input": {"comment": "seen by two"}}

        def by(user: str) -> Any:
            return api.patch(place, json=body, headers=token(api, user))

        seen["guest"] = by("guest").status_code
        seen["otto"] = by("otto").json()["detail"]
        set_trigger(ti["dag_run_id"], "ann")
        seen["own"] = by("ann").json()["detail"]
        set_trigger(ti["dag_run_id"], "otto")
        time.sleep(1)
        seen["ann"] = by("ann").status_code

    thread = in_background(answer)
    done = train.test(run_conf={"promote": "hold"})
    thread.join()
    assert (done.state, seen["guest"], seen["ann"]) == ("success", 403, 200)
    assert seen["otto"] == "a promotion needs one of these roles of Airflow: Admin"
    assert seen["own"] == "ann started this run, so another person must answer"
    assert seen["subject"] == "Residential loans: promote propensity-1?"
    assert "| | propensity-2 | propensity-1 |" in seen["body"]
    assert verdicts(ready)[-2:] == [
        [f"{kind}-1", verdict, f"{kind}-2", "airflow:ann", "seen by two"] for kind in registry.KINDS
    ]
    assert registry.champion_version(ready, "propensity") == champion


def test_time_out_is_recorded_and_changes_nothing(
    train: Any, ready: Session, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    monkeypatch.setattr(train.task_dict["ask"], "response_timeout", timedelta(seconds=1))

    def let_pass() -> None:
        waiting(api)
        time.sleep(2)
        SchedulerJobRunner(Job()).check_awaiting_input_timeouts()

    thread = in_background(let_pass)
    done = train.test(run_conf={"promote": "hold"})
    thread.join()
    assert done.state == "success"
    assert verdicts(ready)[-2:] == [
        [f"{kind}-1", "timed_out", f"{kind}-2", "nobody", None] for kind in registry.KINDS
    ]
    assert registry.champion_version(ready, "propensity") == "propensity-2"


def test_pair_that_fails_a_gate_is_refused_without_asking(
    train: Any, ready: Session, tmp_path: Path
) -> None:
    path = tmp_path / "loan_default.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["promotion"]["min_auc"] = 0.99
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    done = train.test(run_conf={"promote": "hold"})
    assert done.state == "success"
    states = {ti.task_id: ti.state for ti in done.get_task_instances()}
    assert (states["ask"], states["record"]) == ("skipped", "skipped")
    assert [row[1] for row in verdicts(ready)[-2:]] == ["refused", "refused"]


def test_contract_sets_the_mode_where_the_run_does_not(train: Any, ready: Session) -> None:
    assert train.test().state == "success"  # the contract's mode is auto: nobody is asked
    assert verdicts(ready)[-2:] == [
        [f"{kind}-1", "promoted", f"{kind}-2", "policy:auto", None] for kind in registry.KINDS
    ]


def test_answer_needs_an_admin_or_a_declared_role(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that does not exist is enough: Airflow says 404 to those whom the guard lets pass."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    raw = yaml.safe_load((REAL_PORTFOLIOS / "loan_default.yaml").read_text())
    place = "/api/v2/dags/{}/dagRuns/none/taskInstances/{}/-1/hitlDetails"

    def status(user: str, dag: str = "loan_default_train", task: str = "ask") -> int:
        body = {"chosen_options": ["Promote"]}
        path = place.format(dag, task)
        return api.patch(path, json=body, headers=token(api, user)).status_code

    for roles, found in (([], (404, 403)), (["op"], (404, 404)), (["Validator"], (404, 403))):
        raw["promotion"]["roles"] = roles
        (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        assert (status("ann"), status("otto")) == found
    assert status("otto", task="other") == status("otto", dag="other_train") == 404
    assert api.patch(place.format("loan_default_train", "ask"), json={}).status_code == 401


def test_environment_that_holds_lets_no_run_ask_for_auto(
    loan_default: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loan_scoring_hold import promote_param

    assert promote_param(loan_default).schema["enum"] == [None, "auto", "hold"]
    monkeypatch.setenv("LOAN_SCORING_PROMOTION", "hold")
    assert promote_param(loan_default).schema["enum"] == [None, "hold"]
