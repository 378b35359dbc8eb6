"""`land` waits for its file in the triggerer, and not in a worker."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.triggers.base import TriggerEvent

import loan_scoring_waiting
from loan_scoring import contract as contracts
from loan_scoring import database, settings
from loan_scoring.contract.business_dates import deadline_after
from loan_scoring.database.session import Session
from loan_scoring.errors import ContractError
from loan_scoring.lab.replay import Replay
from loan_scoring_waiting import WholeFileTrigger

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

NIGHT = "2026-01-05"


@pytest.fixture
def declare(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the portfolio other fields of `ingest`, and a landing folder of its own."""
    monkeypatch.setenv("LOAN_SCORING_PORTFOLIOS", str(tmp_path / "portfolios"))
    shutil.copytree(folders / "portfolios", tmp_path / "portfolios")

    def to(**fields: Any) -> None:
        path = tmp_path / "portfolios" / "loan_default.yaml"
        raw = yaml.safe_load(path.read_text())
        raw["ingest"] |= fields
        path.write_text(yaml.safe_dump(raw, sort_keys=False))

    return to


@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path / "data"))
    folder = settings.landing_dir("loan_default") / "applications"
    folder.mkdir(parents=True)
    return folder


def wait(seconds: float) -> tuple[TriggerEvent, float]:
    """Run the trigger as the triggerer does; return its event and how long it took."""
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    _, arguments = WholeFileTrigger("loan_default", NIGHT, until).serialize()
    started = time.monotonic()

    async def first() -> TriggerEvent:
        return await anext(WholeFileTrigger(**arguments).run())

    return asyncio.run(first()), time.monotonic() - started


def test_the_trigger_ends_when_the_file_is_whole_or_the_time_is_over(
    landing: Path, declare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_scoring_waiting, "POLL_SECONDS", 0.1)
    declare(settled_seconds=60)
    event, seconds = wait(0.5)
    assert (event.payload, seconds >= 0.5) == (False, True)
    path = landing / f"{NIGHT}.csv"
    path.touch()
    old = time.time() - 59
    os.utime(path, (old, old))
    event, seconds = wait(30)
    assert (event.payload, 0.5 < seconds < 10) == (True, True)


def test_the_trigger_ends_for_a_file_that_can_never_be_taken(landing: Path) -> None:
    for ending in ("csv", "parquet"):
        (landing / f"{NIGHT}.{ending}").touch()
    event, seconds = wait(30)
    assert (event.payload, seconds < 10) == (True, True)


def test_the_trigger_goes_on_waiting_while_the_contract_is_broken(
    landing: Path, declare: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_scoring_waiting, "POLL_SECONDS", 0.1)
    (landing / f"{NIGHT}.csv").touch()
    declare(deadline="soon")
    event, seconds = wait(0.5)
    assert (event.payload, seconds >= 0.5) == (False, True)
    declare(settled_seconds=0, deadline=None)
    assert wait(30)[0].payload is True


def test_the_triggerer_can_import_the_trigger() -> None:
    from airflow.sdk.module_loading import import_string

    path, arguments = WholeFileTrigger("loan_default", NIGHT, "2026-01-06T06:00+00:00").serialize()
    assert import_string(path)(**arguments).serialize() == (path, arguments)


def test_land_waits_until_an_upload_has_settled(
    bag: Any, ready: Session, ready_url: str, drops: Replay, landing: Path,
    declare: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    monkeypatch.setattr(loan_scoring_waiting, "POLL_SECONDS", 0.2)
    declare(settled_seconds=3)
    text = drops.application_files[NIGHT].read_text()
    (landing / f"{NIGHT}.csv").write_text(text)
    done = bag.dags["loan_default_ingest"].test(run_conf={"batch_id": NIGHT})
    assert done.state == "success"
    query = "select received, landed_at - (select min(started_at) from task_metrics) from batches"
    assert database.select_read_only(ready.connection, f"{query} where batch_id = '{NIGHT}'")
    tries = "select errors from task_metrics where task = 'ingest.land'"
    assert database.select_read_only(ready.connection, tries)[1] == [[0]]


def test_a_day_without_an_expected_file_is_skipped_and_no_failure(
    bag: Any, ready: Session, ready_url: str, landing: Path,
    declare: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", ready_url)
    declare(expected_on=["monday"])
    done = bag.dags["loan_default_ingest"].test(run_conf={"batch_id": "2026-01-06"})
    assert done.get_task_instance("land").state == "skipped"
    assert done.state == "success"
    assert database.select_read_only(ready.connection, "select 1 from alerts")[1] == []


@pytest.mark.parametrize(
    ("deadline", "start", "until"),
    [
        ("06:00", datetime(2026, 3, 28, 1, tzinfo=UTC), datetime(2026, 3, 28, 5, tzinfo=UTC)),
        ("06:00", datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 4, tzinfo=UTC)),
        ("01:30", datetime(2026, 3, 28, 1, tzinfo=UTC), datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        (630, datetime(2026, 7, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, 8, 30, tzinfo=UTC)),
        (None, datetime(2026, 7, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_deadline_is_a_local_time_of_day(
    declare: Callable[..., None], deadline: Any, start: datetime, until: datetime
) -> None:
    declare(deadline=deadline)
    contract = contracts.load("loan_default")
    zone = contract.schedules.model_copy(update={"timezone": "Europe/Berlin"})
    assert deadline_after(contract.model_copy(update={"schedules": zone}), start) == until


@pytest.mark.parametrize("deadline", ["6:00", "24:00", "06:60", "soon", True, 1440])
def test_a_deadline_that_is_no_time_is_refused(declare: Callable[..., None], deadline: Any) -> None:
    declare(deadline=deadline)
    with pytest.raises(ContractError, match=r"ingest\.deadline"):
        contracts.load("loan_default")
