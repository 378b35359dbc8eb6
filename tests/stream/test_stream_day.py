"""A day of a stream on a real scheduler: watched, sealed, and compared by an asset event."""

import dataclasses
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from stand import MARKS, PYTHON

from loan_scoring import contract, database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.airflow_client import AirflowClient
from loan_scoring.local.airflow_stack import airflow_stack
from loan_scoring.local.postgres import embedded
from loan_scoring.local.streams import stream_commands
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.run import train

pytestmark = [*MARKS, pytest.mark.end_to_end]

PORTFOLIO = "loan_default"
CALM, SHOCKED = "2026-01-05", "2026-01-08"


@pytest.fixture
def running(
    drops: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Session, AirflowClient]]:
    """Give a session and an Airflow with the Redis and the consumer of `make up STREAM=1`."""
    raw = yaml.safe_load((settings.portfolios_dir() / f"{PORTFOLIO}.yaml").read_text())
    raw["schedules"]["stream"] = "10 */4 * * *"
    (tmp_path / "portfolios").mkdir()
    path = tmp_path / "portfolios" / f"{PORTFOLIO}.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(path.parent))
    monkeypatch.setenv("LOAN_SCORING_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LOAN_SCORING_STREAM_PYTHON", str(PYTHON))
    monkeypatch.delenv("LOAN_SCORING_BROKER_URL", raising=False)
    of = contract.load(PORTFOLIO)
    url = embedded().start().url("loan_scoring")
    try:
        with open_session(PORTFOLIO, url) as session:
            ingest_batch(session, "history", drops.application_files["history"])
            versions, _ = train(session)
            promote_by_hand(session, versions["propensity"], "cli:tests", "a small sample")
            stack = airflow_stack([of], url)
            with dataclasses.replace(stack, beside=stream_commands([of])) as client:
                for stage in ("stream", "metrics"):
                    client.unpause(f"{PORTFOLIO}_{stage}")
                yield session, client
    finally:
        embedded().stop()


def cli(*arguments: str) -> str:
    command = [str(PYTHON), "-m", "loan_scoring.cli", "stream", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(what: str, is_so: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.5)


def rows(session: Session, statement: str) -> list[tuple]:
    return [*map(tuple, database.select_read_only(session.connection, statement)[1])]


def look(client: AirflowClient) -> None:
    """Run the DAG `stream` once, and wait until nothing runs any more."""
    client.trigger(f"{PORTFOLIO}_stream")
    until("the DAG stream has run", lambda: not client.dag_runs(states=["queued", "running"]))
    assert not client.dag_runs(states=["failed"]), client.failed_tasks()


def alerts(session: Session) -> dict[str, str]:
    return dict(rows(session, "select kind, state from alerts where kind <> 'quality'"))


def test_a_day_is_watched_sealed_and_compared(
    running: tuple[Session, AirflowClient], drops: Replay
) -> None:
    session, client = running

    def send(night: str, expected: int) -> None:
        cli("send", "--source", str(drops.application_files[night]), "--rate", "500")
        count = "select count(*) from stream_messages"
        until("all are taken", lambda: rows(session, count) == [(expected,)])

    send(CALM, 1000)
    look(client)
    assert alerts(session) == {}

    (consumer,) = [
        each
        for each in psutil.process_iter(["cmdline"])
        if {"stream", "run", "local"} <= {*(each.info["cmdline"] or ())}
        and each.environ().get("LOAN_SCORING_STATE") == str(settings.state_dir())
    ]
    consumer.kill()
    send(SHOCKED, 2000)
    look(client)
    assert alerts(session) == {"open_day": "open"}

    ((today,),) = rows(session, "select batch_id from batches where kind = 'stream'")
    cli("seal", "--batch", today, "--accept", "the shock is the test's")
    look(client)
    compared = f"""
        select count(distinct s.loan_id), count(distinct d.feature) > 5
        from scoring_runs as r join scores as s using (scoring_run_id)
        join drift as d using (scoring_run_id)
        where r.batch_id = '{today}' and r.is_current and d.kind = 'data'
    """
    until("the day is compared", lambda: rows(session, compared) == [(2000, True)])
    until("the metrics end", lambda: not client.dag_runs(states=["queued", "running"]))
    look(client)
    assert alerts(session) == {"open_day": "resolved", "population": "open"}
