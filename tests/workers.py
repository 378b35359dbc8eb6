"""How a run is shared out among pytest's workers, and what one of them builds for all."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from loan_scoring.local.postgres import EmbeddedPostgres
from loan_scoring.local.state import locked

ONE_AIRFLOW = ("tests/browser", "tests/dags")
"""Folders whose tests share an Airflow in one worker: to import and set it up takes 15 s."""

APART = ("compose", "lending", "nights", "stream")
"""Folders of tests that `make test` leaves out. Each has a mark and a make target of its name."""

OF_FLOWER = re.compile(r"^(from|import) (flwr|loan_scoring\.federated\.apps)\b", re.MULTILINE)

LONGEST = ("tests/end_to_end", "tests/dags", "tests/browser", "tests/integration")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Work on one file more than there are cores: tests wait for Airflow, Postgres and browsers."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Give each file to one worker, and to one all files that share an Airflow."""

    class ByAirflow(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = folder_of(nodeid)
            return folder if folder in ONE_AIRFLOW else super()._split_scope(nodeid)

    return ByAirflow(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the Postgres servers of workers that died or were interrupted."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        factory = session.config._tmp_path_factory  # type: ignore[attr-defined] # as xdist does
        folder = factory.getbasetemp()
        for data in ("postgres/data", "state/postgres/data"):
            for pid_file in folder.glob(f"popen-*/*/{data}/postmaster.pid"):
                EmbeddedPostgres(pid_file.parents[2]).stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    places = {folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(folder_of(item.nodeid), len(LONGEST)))


def folder_of(nodeid: str) -> str:
    """Return the folder of a test's file; a parameter in the id may hold slashes too."""
    return nodeid.partition("::")[0].rpartition("/")[0]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave what needs a Docker engine or many minutes to targets that ask for it by mark.

    Modules of Flower, which is in an environment of its own, are not looked through for doctests.
    """
    is_apart = collection_path.parent == Path(__file__).parent and collection_path.name in APART
    if is_apart and config.getoption("markexpr") != collection_path.name:
        return True
    is_code = collection_path.suffix == ".py" and "federated" in collection_path.parts
    return True if is_code and OF_FLOWER.search(collection_path.read_text()) else None


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of a run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def once(place: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that one worker of the run fills; the others wait for it.

    The lock ends with the process that holds it: where that one dies, the next begins anew.
    """
    with locked(place.with_suffix(".lock")):
        if not place.exists():
            draft = place.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            make(draft)
            draft.rename(place)
    return place
