"""Start a federated run in the second environment, and read its result."""

import json
import logging
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import StateError
from loan_scoring.federated.request import request_of

log = logging.getLogger(__name__)
LIMIT_SECONDS = 5 * 3600.0


def environment() -> Path:
    """Return the Python of the second environment.

    Raises:
        StateError: it is not there.
    """
    found = settings.federated_python()
    if not found.is_file():
        raise StateError(
            f"federated training needs an environment of its own, and {found} is not there; "
            "run make federated, or in containers start the profile federated and set "
            "LOAN_SCORING_SERVED_SITES"
        )
    return found


def run_local(
    contract: Contract, url: str, *, processes: bool = False, **changes: Any
) -> dict[str, Any]:
    """Train at the sites of one database, and return the result.

    Args:
        contract: contract with `federated.sites`.
        url: database URL. The sites read it, and nothing is written.
        processes: whether each site is a SuperNode of its own, with a SuperLink between them.
        changes: fields of `federated` to change.

    Raises:
        StateError: the environment is missing, or the run failed.
    """
    request = request_of(contract, **changes) | {"processes": processes}
    with tempfile.TemporaryDirectory(prefix="federated-") as folder:
        written, result = Path(folder) / "request.json", Path(folder) / "result.json"
        written.write_text(json.dumps(request))
        start_engine(written, result, url)
        found: dict[str, Any] = json.loads(result.read_text())
    return found


def start_engine(request: Path, result: Path, url: str) -> None:
    """Run the engine until it ends, and log what it tells of its progress.

    Raises:
        StateError: the environment is missing, the run failed, or it hung.
    """
    command = [str(environment()), "-m", "loan_scoring.federated.engine", str(request), str(result)]
    home = settings.home()
    variables = {
        **os.environ, "LOAN_SCORING_SITE_URL": url, "LOAN_SCORING_HOME": str(home),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }  # fmt: skip
    last, hung = "no message", threading.Event()
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as engine:

        def stop() -> None:
            hung.set()
            engine.kill()

        limit = threading.Timer(LIMIT_SECONDS, stop)
        limit.daemon = True
        limit.start()
        assert engine.stderr is not None  # noqa: S101 - it is a pipe
        for line in filter(str.strip, engine.stderr):
            last = line.strip()
            log.info("%s", last)
        engine.wait()
        limit.cancel()
    if hung.is_set():
        raise StateError(f"the federated run had no result after {LIMIT_SECONDS / 3600:g} hours")
    if engine.returncode < 0:
        raise StateError(
            f"the engine of the federated run was killed (signal {-engine.returncode})"
        )
    if engine.returncode != 0:
        raise StateError(f"the federated run failed: {last}")
