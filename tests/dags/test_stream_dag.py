"""The DAG `stream` by dag.test() on real Postgres: an ended day is finished once, and announced."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from loan_scoring import database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.scoring.stream.intake import take_messages
from loan_scoring.scoring.stream.messages import read_message
from loan_scoring.scoring.stream.sending import file_messages

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]
DAY = "2026-01-05"


@pytest.fixture
def portfolios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a contract that has a stream."""
    raw = yaml.safe_load((settings.portfolios_dir() / "loan_default.yaml").read_text())
    raw.setdefault("schedules", {})["stream"] = "10 */4 * * *"
    (tmp_path / "loan_default.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path))
    return tmp_path


def dag(stage: str) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(settings.home() / "dags" / f"loan_scoring_{stage}.py")
    assert found.import_errors == {}
    return found.dags[f"loan_default_{stage}"]


def states(run: Any) -> dict[str, str]:
    return {each.task_id: str(each.state) for each in run.get_task_instances()}


def test_an_ended_day_is_sealed_and_announced_until_it_is_compared(
    airflow_home: Path,
    portfolios: Path,
    ready: Session,
    ready_url: str,
    drops: Replay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    stream = dag("stream")
    assert states(stream.test())["announce"] == "skipped"  # nothing has ended
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    bodies = file_messages(ready.contract, drops.application_files[DAY])
    take_messages(ready, [read_message(each) for each in bodies], noon)
    for _ in range(2):  # a second run changes nothing and announces the day again
        run = stream.test()
        assert run.state == "success"
        assert states(run)["announce"] == "success"
        _, [[kind, received, scored]] = database.select_read_only(
            ready.connection,
            "select kind, received, scored from batches join scoring_runs as r"
            f" using (batch_id, revision) where batch_id = '{DAY}' and r.is_current",
        )
        assert (kind, received, scored > 500) == ("stream", 1000, True)
    with open_session("loan_default", ready_url) as session:
        compare_batch(session, DAY)
    assert states(stream.test())["announce"] == "skipped"


def test_a_day_held_back_fails_the_run_and_keeps_no_other(
    airflow_home: Path,
    portfolios: Path,
    ready: Session,
    ready_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    take_messages(ready, [read_message(f"{place}".encode()) for place in range(10)], noon)
    stream = dag("stream")
    for task in stream.tasks:
        monkeypatch.setattr(task, "retries", 0)
    run = stream.test()
    assert run.state == "failed"
    assert states(run)["held_back"] == "failed"
    _, rows = database.select_read_only(ready.connection, "select count(*) from quarantine")
    assert rows == [[10]]


def test_no_file_is_expected_where_a_stream_is(
    airflow_home: Path,
    portfolios: Path,
    ready: Session,
    ready_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    run = dag("ingest").test(run_conf={"batch_id": "2026-02-01"})
    assert states(run)["land"] == "skipped"
