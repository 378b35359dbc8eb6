"""Send a run to a SuperLink, and wait for its result."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from loan_scoring.errors import StateError

APP = Path(__file__).with_name("app")
LIMIT_SECONDS = 5 * 3600.0
LOOK_EVERY_SECONDS = 20.0
LOOKS_IN_VAIN = 6
"""How often in a row the SuperLink may not know the run, or not answer, before it is given up."""


def submit(
    request: dict[str, Any],
    folder: Path,
    port: int,
    app: Path = APP,
    host: str = "127.0.0.1",
    tls: str | None = None,
) -> dict[str, Any]:
    """Send the app to a SuperLink, wait for the result, and return it.

    Args:
        request: request, as `request.request_of` returns it.
        folder: folder of request and result, which the SuperLink sees under the same path.
        port: port of the SuperLink.
        app: folder of the app.
        host: host of the SuperLink.
        tls: file with the certificate of the authority that signed the SuperLink's.

    Raises:
        StateError: the run failed, or gave no result in time.
    """
    written, result = folder / "app-request.json", folder / "app-result.json"
    written.write_text(json.dumps(request))
    copied = folder / "app"
    shutil.copytree(app, copied, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    home = folder / "flower"
    home.mkdir(exist_ok=True)
    secure = f'root-certificates = "{Path(tls).resolve()}"' if tls else "insecure = true"
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{host}:{port}"\n{secure}\n'
    )
    config = f'request="{written}" result="{result}"'
    started = _flwr(home, "run", str(copied), "here", "--run-config", config)
    if not started.get("success"):
        raise StateError(f"the SuperLink took no run: {_said(started)}")
    until = time.monotonic() + request.get("ends_within_seconds", LIMIT_SECONDS)
    look, in_vain = time.monotonic() + LOOK_EVERY_SECONDS, 0
    while not result.exists():
        if time.monotonic() > until:
            raise StateError("the SuperLink gave no result in time; read the SuperLink's log")
        if time.monotonic() > look:
            told = _flwr(home, "list", "here", "--run-id", str(started["run-id"]))
            status = told["runs"][0]["status"] if told.get("runs") else ""
            if status.startswith("finished") and not result.exists():
                raise StateError(f"the run ended without a result ({status}); read the "
                                 "SuperLink's log")  # fmt: skip
            in_vain = 0 if status else in_vain + 1
            if in_vain == LOOKS_IN_VAIN:
                raise StateError(
                    f"the SuperLink lost the run ({_said(told)}), as it does when it is started "
                    "anew; start the run again"
                )
            look = time.monotonic() + LOOK_EVERY_SECONDS
        time.sleep(0.5)
    found: dict[str, Any] = json.loads(result.read_text())
    if "error" in found:
        raise StateError(found["error"])
    return found


def _flwr(home: Path, *arguments: str) -> dict[str, Any]:
    """Return what a command of Flower prints as JSON. `success` tells whether it worked."""
    ended = subprocess.run(
        [program("flwr"), *arguments, "--format", "json"],
        env=os.environ | {"FLWR_HOME": str(home)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(ended.stdout[ended.stdout.index("{") :])
    except ValueError:
        return {"success": False, "error-message": ended.stdout + ended.stderr}
    return found


def _said(told: dict[str, Any]) -> str:
    """Return an error of Flower in one line."""
    lines = str(told.get("error-message", "no message")).split("\n")
    return " ".join([line.strip() for line in lines if line.strip()][-3:])


def program(name: str) -> str:
    """Return the path of a program of the second environment."""
    return str(Path(sys.executable).with_name(name))
