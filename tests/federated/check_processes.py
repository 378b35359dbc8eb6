"""A SuperLink and SuperNodes as processes: one is killed, one sends NaN, one too much."""

import json
import shutil
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from generated_sites import contract_with

from loan_scoring.federated import processes
from loan_scoring.federated.request import request_of

NAMES = ("one", "two", "killed", "nan", "huge")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The app that a server sends, with a ClientApp of invented loans."""
    folder = tmp_path / "test-app"
    shutil.copytree(processes.APP, folder)
    here = Path(__file__).parent
    shutil.copy(here / "generated_sites.py", folder)
    shutil.copy(here / "broken_app.py", folder / "federation_client.py")
    return folder


def test_killed_nan_and_huge_are_left_out_and_named(tmp_path: Path, app: Path) -> None:
    contract = contract_with(algorithm="logistic_regression", rounds=3)
    request = request_of(contract, sites=len(NAMES)) | {"ends_within_seconds": 3000}
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        port = stack.enter_context(processes.superlink(tmp_path))
        nodes = {}
        for name in NAMES:
            config = processes.node_config(request, name, tmp_path / "sites")
            nodes[name] = stack.enter_context(processes.supernode(tmp_path, port, name, config))
        killer = threading.Thread(
            target=_kill_in_round_2, args=(tmp_path / "sites", nodes["killed"], found)
        )
        killer.start()
        result = processes.submit(request, tmp_path, port, app)
        killer.join()
    assert found["killed"]
    left_out = {each["site"]: each for each in result["left_out"]}
    assert set(left_out) == {"killed", "nan", "huge"}
    assert left_out["killed"]["round"] == 2
    assert "no numbers" in left_out["nan"]["reason"]
    assert "too large" in left_out["huge"]["reason"]
    assert {each["site"] for each in result["sites"]} == {"one", "two"}
    assert all(each["federated"]["auc"] > 0.6 for each in result["sites"])


def _kill_in_round_2(folder: Path, node: Any, found: dict[str, Any]) -> None:
    """Kill a SuperNode, with what it started, once it is asked to learn for the second time."""
    until = time.monotonic() + 2500
    while time.monotonic() < until:
        asked = folder / "killed.asked"
        if asked.is_file() and len(json.loads(asked.read_text() or "[]")) == 2:
            processes.end(node, at_once=True)
            found["killed"] = True
            return
        time.sleep(0.05)
