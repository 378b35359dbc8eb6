"""A SuperLink and SuperNodes as processes: one is killed, one sends NaN, one too much."""

import json
import shutil
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from generated_sites import contract_with

from loan_scoring.errors import StateError
from loan_scoring.federated import processes
from loan_scoring.federated.certificates import write_certificates
from loan_scoring.federated.request import request_of
from loan_scoring.federated.submit import APP, submit

NAMES = ("one", "two", "killed", "nan", "huge")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The app that a server sends, with a ClientApp of invented loans."""
    folder = tmp_path / "test-app"
    shutil.copytree(APP, folder)
    here = Path(__file__).parent
    shutil.copy(here / "generated_sites.py", folder)
    shutil.copy(here / "broken_app.py", folder / "federation_client.py")
    return folder


def test_killed_nan_and_huge_are_left_out_and_named(tmp_path: Path, app: Path) -> None:
    contract = contract_with(algorithm="logistic_regression", rounds=3)
    request = request_of(contract, sites=len(NAMES)) | {"ends_within_seconds": 3000}
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        certificates = tmp_path / "certificates"
        write_certificates(certificates, ["superlink"])
        port = stack.enter_context(processes.superlink(tmp_path, certificates))
        check_tls(port, certificates / "ca.crt", tmp_path)
        nodes = {}
        for name in NAMES:
            config = processes.node_config(request, name, tmp_path / "sites")
            nodes[name] = stack.enter_context(
                processes.supernode(tmp_path, port, name, config, certificates)
            )
        killer = threading.Thread(
            target=_kill_in_round_2, args=(tmp_path / "sites", nodes["killed"], found)
        )
        killer.start()
        tls = str(certificates / "ca.crt")
        result = submit(request, tmp_path, port, app, tls=tls)
        killer.join()
    assert found["killed"]
    left_out = {each["site"]: each for each in result["left_out"]}
    assert set(left_out) == {"killed", "nan", "huge"}
    assert left_out["killed"]["round"] == 2
    assert "no numbers" in left_out["nan"]["reason"]
    assert "too large" in left_out["huge"]["reason"]
    assert {each["site"] for each in result["sites"]} == {"one", "two"}
    assert all(each["federated"]["auc"] > 0.6 for each in result["sites"])


def check_tls(port: int, authority: Path, folder: Path) -> None:
    """Check that the SuperLink proves who it is, and to whom."""
    write_certificates(folder / "others", ["superlink"])
    for known, ends_well in ((authority, True), (folder / "others" / "ca.crt", False)):
        context = ssl.create_default_context(cafile=str(known))
        with socket.create_connection(("127.0.0.1", port)) as plain:
            if ends_well:
                with context.wrap_socket(plain, server_hostname="superlink") as secure:
                    assert secure.version() == "TLSv1.3"
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    context.wrap_socket(plain, server_hostname="superlink")


def test_a_server_that_fails_ends_the_run_with_one_line(tmp_path: Path, app: Path) -> None:
    (app / "federation_server.py").write_text(
        "from flwr.serverapp import ServerApp\n"
        "app = ServerApp()\n\n"
        "@app.main()\n"
        "def main(grid, context):\n"
        "    raise MemoryError\n"
    )
    request = request_of(contract_with(), sites=2)
    with (
        processes.superlink(tmp_path) as port,
        pytest.raises(StateError, match=r"the run ended without a result .finished:failed.; read"),
    ):
        submit(request, tmp_path, port, app)


def test_a_superlink_that_ends_ends_the_run(
    tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loan_scoring.federated.submit.LOOK_EVERY_SECONDS", 1.0)
    monkeypatch.setattr("loan_scoring.federated.submit.LOOKS_IN_VAIN", 2)
    request = request_of(contract_with(), sites=2)
    with ExitStack() as stack:
        port = stack.enter_context(processes.superlink(tmp_path))
        threading.Timer(15, stack.close).start()
        with pytest.raises(StateError, match="the SuperLink lost the run"):
            submit(request, tmp_path, port, app)


def test_a_superlink_that_does_not_answer_takes_no_run(tmp_path: Path, app: Path) -> None:
    request = request_of(contract_with(), sites=2)
    with pytest.raises(StateError, match=r"the SuperLink took no run: .+"):
        submit(request, tmp_path, processes.free_port(), app)


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
