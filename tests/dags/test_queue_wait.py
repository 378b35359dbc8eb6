"""Tasks record how long they waited in the queue; in dag.test() each starts at once."""

from datetime import timedelta
from typing import Any

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

NIGHT = "2026-01-05"


def test_every_task_records_its_wait(
    bag: Any, ready: Session, ready_url: str, drops: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    ingest_batch(ready, NIGHT, drops.application_files[NIGHT])
    dag = bag.dags["loan_default_score"]
    assert dag.test(run_conf={"batch_id": NIGHT}).state == "success"
    query = (
        "select task, queue_seconds, extract(epoch from started_at - lag(finished_at)"
        " over (order by started_at)) from task_metrics order by started_at"
    )
    rows = database.select_read_only(ready.connection, query)[1]
    assert [row[0] for row in rows] == [
        "score.plan",
        "score.score",
        "score.publish",
        "score.notify",
    ]
    for _, waited, between in rows:
        # The wait ends before the task opens its session, so it is shorter than the gap.
        assert 0 < waited < (between or 60)


def test_task_that_failed_once_does_not_count_its_delay_as_a_wait(
    bag: Any, ready: Session, ready_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    dag = bag.dags["loan_default_score"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 1)
        monkeypatch.setattr(task, "retry_delay", timedelta(seconds=0))
    assert dag.test(run_conf={"batch_id": "2021-01-01"}).state == "failed"
    query = "select task, errors, queue_seconds from task_metrics where task = 'score.plan'"
    assert database.select_read_only(ready.connection, query)[1] == [["score.plan", 2, None]]
