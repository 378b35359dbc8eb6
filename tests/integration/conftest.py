"""Processes of their own, any task and an ingest; a data folder of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import Child, Spawn, command, spawning

from loan_scoring import database, settings
from loan_scoring.database.session import open_session
from loan_scoring.lab.replay import Replay


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a process that does a task after its `go`; it is ended with the test."""
    with spawning(tmp_path) as start:
        yield start


@pytest.fixture
def spawn_ingest(spawn: Spawn) -> Callable[[str, str, Path], Child]:
    """Start a process that takes a file in as a batch after its `go`."""

    def start(url: str, batch_id: str, source: Path) -> Child:
        return spawn(command, url, "ingest", "--batch", batch_id, "--source", str(source))

    return start


@pytest.fixture
def own_data(trained: Any, drops: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own, with the landing files and the models of the session.

    An erasure rewrites files, and must not do so with those of other tests. Files of models and
    trainings of other tests are left out: they can have the loan.
    """
    folder = tmp_path / "data"
    shutil.copytree(settings.data_dir() / "landing", folder / "landing")
    with open_session("loan_default", trained.url) as session:
        query = "select unnest(array[artifact, baseline_artifact]) from models"
        known = database.select_read_only(session.connection, query)[1]
    artifacts = folder / "artifacts" / "loan_default"
    artifacts.mkdir(parents=True)
    for (name,) in known:
        if name is not None:
            shutil.copy(settings.artifacts_dir("loan_default") / name, artifacts)
    monkeypatch.setenv("LOAN_SCORING_DATA", str(folder))
    return folder
