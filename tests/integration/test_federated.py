"""Federated training in its own environment, and its challenger in this one."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.contract import Contract
from loan_scoring.contract.federated import FederatedPolicy
from loan_scoring.database.session import Session, open_session
from loan_scoring.errors import ContractError, FailedRunError, MissingError, StateError
from loan_scoring.federated import run, service
from loan_scoring.federated.register import compare_result, register_result
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.card.content import read_card
from loan_scoring.models.promotion.decide import judge_and_promote
from loan_scoring.models.promotion.shadows import begin_shadow
from loan_scoring.monitoring.shadow.nights import compare_night
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.mini_batch import score_mini_batch
from loan_scoring.scoring.shadow import plan_shadow

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = REPOSITORY / "tests" / "federated"
NIGHT = "2026-01-05"
PYTHON = "LOAN_SCORING_FEDERATED_PYTHON"
LONG = (
    pytest.mark.federated,
    pytest.mark.skipif(PYTHON not in os.environ, reason="takes minutes: make test-federated"),
)


@pytest.fixture(scope="module")
def python() -> str:
    """The Python of the environment that has Flower."""
    given = os.environ.get(PYTHON) or str(REPOSITORY / ".venv-federated" / "bin" / "python")
    if not Path(given).is_file():
        pytest.skip("the environment of federated training is not there: make federated")
    return given


def check(python: str, name: str) -> None:
    """Run a file of checks by the pytest of the second environment."""
    paths = os.pathsep.join([str(REPOSITORY / "include"), str(HERE)])
    portfolios = REPOSITORY / "include" / "portfolios"
    ended = subprocess.run(
        [python, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={HERE}",
         f"--confcutdir={HERE}", "-p",
         "no:cacheprovider", str(HERE / name)],
        env=os.environ | {"PYTHONPATH": paths, "LOAN_SCORING_PORTFOLIOS": str(portfolios),
                          "FLWR_TELEMETRY_ENABLED": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]


def test_sites_of_one_process(python: str) -> None:
    check(python, "check_in_process.py")


@LONG[0]
@LONG[1]
def test_sites_of_processes(python: str) -> None:
    check(python, "check_processes.py")


def test_a_missing_environment_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON, "/nowhere/python")
    with pytest.raises(StateError, match="/nowhere/python is not there; run make federated"):
        run.environment()


def test_a_run_on_which_nobody_works_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    folder = settings.federated_dir("loan_default") / "federated-1"
    with pytest.raises(MissingError, match="no federated run federated-1"):
        service.is_finished("loan_default", "federated-1")
    folder.mkdir(parents=True)
    request, alive = folder / "request.json", folder / "alive"
    request.write_text("{}")
    assert not service.is_finished("loan_default", "federated-1")
    long_ago = time.time() - service.DEAD_AFTER_SECONDS - 1
    os.utime(request, (long_ago, long_ago))
    alive.touch()
    assert not service.is_finished("loan_default", "federated-1")
    os.utime(alive, (long_ago, long_ago))
    with pytest.raises(FailedRunError, match="its process was killed; clear the task start"):
        service.is_finished("loan_default", "federated-1")
    monkeypatch.setenv("LOAN_SCORING_SERVED_SITES", "2")
    with pytest.raises(FailedRunError, match="the service federation takes no requests"):
        service.is_finished("loan_default", "federated-1")
    (folder / "error.txt").write_text("2 of 4 sites connected\n")
    with pytest.raises(FailedRunError, match=r"federated-1: 2 of 4 sites connected$"):
        service.is_finished("loan_default", "federated-1")


def test_a_key_gets_its_run_unless_that_has_failed(
    loan_default: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    monkeypatch.setenv("LOAN_SCORING_SERVED_SITES", "2")  # so that no engine is started here
    policy = FederatedPolicy(sites={"column": "region"})
    changed = loan_default.model_copy(update={"federated": policy})
    first = service.start_run(changed, "", "dag run 1")
    assert service.start_run(changed, "", "dag run 1") == first
    other = service.start_run(changed, "", "dag run 2")
    assert other != first
    assert service.start_run(changed, "", "dag run 1") == first
    (settings.federated_dir("loan_default") / first / "error.txt").write_text("failed\n")
    assert service.start_run(changed, "", "dag run 1") not in (first, other)


def test_a_run_whose_model_could_not_be_registered_is_not_started(
    loan_default: Contract,
) -> None:
    columns = [
        each.model_copy(update={"direction": "up"}) if each.name == "ltv_percent" else each
        for each in loan_default.columns
    ]
    policy = FederatedPolicy(sites={"column": "region"}, algorithm="logistic_regression")
    changed = loan_default.model_copy(update={"columns": columns, "federated": policy})
    with pytest.raises(StateError, match="logistic_regression cannot keep the direction of ltv"):
        service.start_run(changed, "")


def test_what_does_not_fit_together_is_one_line(loan_default: Contract) -> None:
    policy = FederatedPolicy(sites={"column": "region"})
    changed = loan_default.model_copy(update={"federated": policy})
    with pytest.raises(ContractError, match=r"^federated: .*epsilon: trees are sent without noise"):
        run.run_local(changed, "", epsilon=1.0)


@pytest.fixture
def sites(
    ready: Session, ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> Iterator[Session]:
    """A session whose contract lets each region be a site. It has a champion."""
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["federated"] = {"sites": {"column": "region"}, "rounds": 2, "min_loans": 5}
    raw["promotion"] |= {"shadow_nights": 2}
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv(PYTHON, python)
    with open_session("loan_default", ready_url) as session:
        yield session


@pytest.mark.integration
@pytest.mark.parametrize(
    "algorithm",
    [
        "xgboost",
        pytest.param("scorecard", marks=LONG),
        pytest.param("logistic_regression", marks=LONG),
    ],
)
def test_a_result_is_a_challenger_like_any_other(
    sites: Session, ready_url: str, drops: Replay, algorithm: str
) -> None:
    result = json.loads(json.dumps(run.run_local(sites.contract, ready_url, algorithm=algorithm)))
    comparison = compare_result(sites, result)
    assert comparison["is_pooled"]
    versions = register_result(sites, result, comparison, "cli:ann")
    assert register_result(sites, result, comparison, "cli:bob") == versions
    row = registry.model_row(sites, versions["propensity"])
    assert row["training_data"]["triggered_by"] == "cli:ann"
    card = read_card(sites, versions["propensity"])
    section = next(each for each in card.sections if each.title == "Federated training")
    assert "No application left its site" in str(section)
    verdict, _ = judge_and_promote(sites, versions, "hold")
    assert verdict in ("held", "refused", "shadow")

    ingest_batch(sites, NIGHT, drops.application_files[NIGHT])
    score_batch(sites, NIGHT)
    begin_shadow(sites, versions, "cli:ann")
    planned = plan_shadow(sites, NIGHT)
    assert planned is not None
    for mini_batch in planned.mini_batches:
        score_mini_batch(sites, planned.scoring_run_id, mini_batch)
    count = f"select count(*) from shadow_scores where scoring_run_id = '{planned.scoring_run_id}'"
    scored = database.select_read_only(sites.connection, count)[1]
    assert int(scored[0][0]) == planned.applications > 0
    assert compare_night(sites, planned.scoring_run_id) > 0


def test_a_result_of_another_portfolio_is_refused(sites: Session) -> None:
    other: dict[str, Any] = {"portfolio": "other", "algorithm": "xgboost", "scheme": {
        "numbers": [], "categories": []}, "model": {}}  # fmt: skip
    with pytest.raises(StateError, match="of portfolio other, not of loan_default"):
        register_result(sites, other, {}, None)
