"""The DAG `shadow` by dag.test() on real Postgres: a night with and without a challenger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models import registry
from loan_scoring.models.promotion.shadows import begin_shadow
from loan_scoring.scoring.batch import score_batch

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]
NIGHT = "2026-01-05"


@pytest.fixture
def shadow(
    airflow_home: Path,
    ready: Session,
    ready_url: str,
    drops: Replay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """The DAG on a database whose first night is scored."""
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw["promotion"] |= {"shadow_nights": 2}
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    score_batch(ready, NIGHT)
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(settings.home() / "dags" / "loan_scoring_shadow.py").dags["loan_default_shadow"]


def states(run: Any) -> dict[str, str]:
    return {each.task_id: str(each.state) for each in run.get_task_instances()}


def test_night_with_and_without_a_challenger(
    shadow: Any, ready: Session, ready_url: str, challenge: Callable
) -> None:
    run = shadow.test(run_conf={"batch_id": NIGHT})
    assert run.state == "success"
    assert states(run)["judge"] == "skipped"
    versions = challenge("other", max_iter=20)
    with open_session("loan_default", ready_url) as session:
        begin_shadow(session, versions, "cli:ann")
    for _ in range(2):  # a second run leaves the same rows
        run = shadow.test(run_conf={"batch_id": NIGHT})
        assert run.state == "success"
        assert states(run) | {"ask": "skipped", "record": "skipped"} == states(run)
        _, [[nights, loans, agreed, scores]] = database.select_read_only(
            ready.connection,
            "select count(*), sum(loans), sum(agreed), (select count(*) from shadow_scores)"
            " from shadow_nights",
        )
        assert (nights, loans, scores) == (1, 1000, 1000)
        assert 500 < agreed < 1000


def test_failed_shadow_is_an_alert_and_the_night_stays(
    shadow: Any,
    ready: Session,
    ready_url: str,
    challenge: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions = challenge("other", max_iter=20)
    with open_session("loan_default", ready_url) as session:
        begin_shadow(session, versions, "cli:ann")
    row = registry.model_row(ready, versions["propensity"])
    artifact = settings.artifacts_dir("loan_default") / row["artifact"]
    good = artifact.read_bytes()
    for task in shadow.tasks:
        monkeypatch.setattr(task, "retries", 0)
    try:
        artifact.write_bytes(good[:-1] + b"x")
        from loan_scoring.models import artifacts

        artifacts._load.cache_clear()
        assert shadow.test(run_conf={"batch_id": NIGHT}).state == "failed"
    finally:
        artifact.write_bytes(good)
    _, [[severity, message]] = database.select_read_only(
        ready.connection,
        "select severity, message from alerts where kind = 'failure' and subject = 'shadow'",
    )
    assert severity == "warning"
    assert "was changed: its sha256 is" in message
    _, [[current]] = database.select_read_only(
        ready.connection, f"select count(*) from current_scores where batch_id = '{NIGHT}'"
    )
    assert current == 1000
