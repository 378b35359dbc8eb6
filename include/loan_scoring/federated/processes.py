"""Run a SuperLink and a SuperNode for each site as processes of this machine."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loan_scoring.errors import StateError
from loan_scoring.federated.submit import program, submit

STARTS_WITHIN_SECONDS = 300.0


def run_processes(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the result of a request. Each site reads its own level of the sites' column.

    Raises:
        StateError: a process ended, or the run failed.
    """
    names, folder = request["names"], folder.resolve()
    with ExitStack() as stack:
        port = stack.enter_context(superlink(folder))
        for name in names:
            config = node_config(request, name, folder / "sites" / name) | {"level": name}
            stack.enter_context(supernode(folder, port, name, config))
        return submit(request | {"sites": len(names)}, folder, port)


def node_config(request: dict[str, Any], name: str, folder: Path) -> dict[str, str]:
    """Return the configuration of a node: its name, portfolio, folder and policy."""
    policy = json.dumps(request["policy"]).replace('"', "'")
    return {
        "site": name, "portfolio": request["portfolio"], "folder": str(folder), "policy": policy,
    }  # fmt: skip


@contextmanager
def superlink(folder: Path, certificates: Path | None = None) -> Iterator[int]:
    """Start a SuperLink on this machine, and yield its port. End it with the block.

    Args:
        folder: folder of its log.
        certificates: folder that `write_certificates` filled, for TLS. If None, there is no TLS,
            because nothing leaves this machine.
    """
    port = free_port()
    secure = ["--insecure"]
    if certificates is not None:
        secure = [
            f"--ssl-ca-certfile={certificates / 'ca.crt'}",
            f"--ssl-certfile={certificates / 'server.pem'}",
            f"--ssl-keyfile={certificates / 'server.key'}",
        ]
    command = [
        program("flower-superlink"), *secure, "--host", "127.0.0.1", "--port", str(port),
        "--disable-runtime-dependency-installation",
    ]  # fmt: skip
    with _process(command, folder, "superlink") as process:
        _wait_for_port(port, process, folder / "superlink.log")
        yield port


@contextmanager
def supernode(
    folder: Path, port: int, name: str, config: dict[str, str], certificates: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the SuperNode of a site, and yield its process. End it with the block."""
    text = " ".join(f'{key}="{value}"' for key, value in config.items())
    secure = "--insecure"
    if certificates is not None:
        secure = f"--root-certificates={certificates / 'ca.crt'}"
    command = [
        program("flower-supernode"), secure, "--superlink", f"127.0.0.1:{port}",
        "--port", str(free_port()), "--node-config", text,
    ]  # fmt: skip
    with _process(command, folder, f"supernode-{name}") as process:
        yield process


@contextmanager
def _process(command: list[str], folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    variables = os.environ | {
        "FLWR_HOME": str(folder / f"home-{name}"), "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=variables, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=end_with_parent,
        )  # fmt: skip
        try:
            yield process
        finally:
            end(process)


def end_with_parent() -> None:
    """Let the kernel end this process when the engine ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def end(process: subprocess.Popen[bytes], *, at_once: bool = False) -> None:
    """End a process and those that it started, which are in its session."""
    for each in (signal.SIGTERM, signal.SIGKILL)[at_once:]:
        try:
            os.killpg(process.pid, each)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace").strip().splitlines()
                raise StateError(
                    f"the SuperLink did not start: {said[-1] if said else 'no message'}"
                ) from None
            time.sleep(0.2)
