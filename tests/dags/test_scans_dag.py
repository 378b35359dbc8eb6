"""The DAG `scans` by dag.test() on real Postgres: pages become a file once, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loan_scoring import database, settings
from loan_scoring.database.session import Session
from loan_scoring.scans.layout import form_layout
from loan_scoring.scans.records import dates_to_read, scans_folder
from scan_texts import TEXTS

pytestmark = [
    pytest.mark.dags,
    pytest.mark.scans,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]
needs_reader = pytest.mark.skipif(
    find_spec("rapidocr_onnxruntime") is None,
    reason="`make test-scans` installs the packages of the extra",
)
NIGHT = "2026-01-05"
KILLS = int(os.environ.get("LOAN_SCORING_KILLS", "4"))
FORMS = 6


@pytest.fixture
def folder(
    airflow_home: Path,
    empty: Session,
    postgres: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder of a date, for a DAG on an empty portfolio."""
    monkeypatch.setenv("LOAN_SCORING_DATA", str(tmp_path))
    info = empty.connection.info
    url = f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"
    monkeypatch.setenv("AIRFLOW_CONN_LOAN_SCORING", url)
    monkeypatch.setenv("LOAN_SCORING_DATABASE_URL", url)
    made = scans_folder("loan_default", NIGHT)
    made.mkdir(parents=True)
    return made


@pytest.fixture
def dag(airflow_home: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(settings.home() / "dags" / "loan_scoring_scans.py")
    assert found.import_errors == {}
    return found.dags["loan_default_scans"]


def states(run: Any) -> dict[str, str]:
    return {each.task_id: str(each.state) for each in run.get_task_instances()}


def counted(session: Session, query: str) -> list[Any]:
    return database.select_read_only(session.connection, query)[1]


def put_forms(session: Session, folder: Path) -> None:
    from loan_scoring.scans.simulate import as_png, render

    layout = form_layout(session.contract)
    for place in range(FORMS):
        texts = TEXTS | {"loan_id": str(4000 + place)}
        (folder / f"{place}.png").write_bytes(as_png(render(layout, texts, "Courier")))


def test_nothing_new_is_a_short_green_run_that_needs_no_package(folder: Path, dag: Any) -> None:
    run = dag.test()
    assert run.state == "success"
    assert states(run) | {"find": "success", "read": "skipped", "ingest": "skipped"} == states(run)


@needs_reader
def test_forms_are_landed_once_and_no_picture_passes_between_tasks(
    folder: Path, dag: Any, empty: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its own DAG is not started by dag.test().
    monkeypatch.setattr("loan_scoring.scans.landing.files_to_ingest", lambda *_: [])
    put_forms(empty, folder)
    (folder / "cat.jpg").write_bytes(b"no picture")
    for _ in range(2):
        run = dag.test()
        assert run.state == "success"
        assert counted(empty, "select state, count(*) from scans group by 1 order by 1") == [
            ["passed", FORMS], ["refused", 1],
        ]  # fmt: skip
        assert counted(empty, "select rows from scan_deliveries") == [[FORMS]]
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        values = session.query(XComModel.value).filter(XComModel.dag_id == dag.dag_id)
        assert max(len(str(value)) for (value,) in values) < 100
    assert dates_to_read(empty) == [NIGHT]


@needs_reader
def test_a_reader_that_is_killed_reads_each_page_once(
    folder: Path, empty: Session, drawn_delays: Callable[[int], list[float]]
) -> None:
    """kill -9 at any moment, again and again; then one whole run."""
    put_forms(empty, folder)
    command = [sys.executable, "-m", "loan_scoring.cli", "scans", "--batch", NIGHT]
    for delay in drawn_delays(KILLS):
        reader = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        reader.send_signal(signal.SIGKILL)
        reader.wait(30)
    # Two at once: each page is recorded by one of them.
    two = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [each.wait(300) for each in two] == [0, 0]
    assert counted(empty, "select count(*), count(distinct file_name) from scans") == [
        [FORMS, FORMS]
    ]
    done = subprocess.run(
        [sys.executable, "-m", "loan_scoring.cli", "ingest", "--batch", NIGHT], check=False
    )
    assert done.returncode == 0
    query = "select count(*), count(distinct loan_id) from applications"
    assert counted(empty, query) == [[FORMS, FORMS]]


@pytest.fixture
def drawn_delays() -> Callable[[int], list[float]]:
    """Seconds after which a reader is killed: from its start to its last page."""
    return lambda kills: np.random.default_rng(24).uniform(1.5, 12, kills).tolist()
