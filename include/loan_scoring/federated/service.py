"""Keep federated runs as files, so that a DAG starts one and waits for it."""

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import FailedRunError, LoanScoringError, MissingError
from loan_scoring.federated.model import check_directions
from loan_scoring.federated.request import ALIVE, BEAT_SECONDS, request_of
from loan_scoring.federated.run import environment, start_engine

DEAD_AFTER_SECONDS = 180.0
"""A run on which nobody has worked for so long was killed."""


def start_run(contract: Contract, url: str, key: str | None = None) -> str:
    """Write the request of a run, let the engine take it, and return the name of the run.

    Where LOAN_SCORING_SERVED_SITES is set, a server beside the SuperLink takes the request.
    Otherwise the engine runs on this machine, with the sites of one database.

    Args:
        contract: contract with a part `federated`.
        url: database URL, for the engine on this machine.
        key: who asks. The same key gets the same run, unless that has failed, so that a task that
            is tried again starts no second one.

    Raises:
        StateError: the second environment is missing, or the model could not be registered.
    """
    sites = settings.served_sites()
    if known := _run_of(contract.portfolio, key):
        return known
    run = f"federated-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    folder = settings.federated_dir(contract.portfolio) / run
    request = request_of(contract, int(sites) if sites else None) | {"key": key}
    check_directions(contract, request["policy"]["algorithm"])
    if not sites:
        environment()
    folder.mkdir(parents=True)
    partly = folder / "request.part"
    partly.write_text(json.dumps(request))
    partly.replace(folder / "request.json")
    if not sites:
        # The run outlives the task that starts it, so that no worker waits for it.
        subprocess.Popen(
            [sys.executable, "-m", "loan_scoring.federated.service", str(folder)],
            env=os.environ | {"LOAN_SCORING_SITE_URL": url},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    return run


def _run_of(portfolio: str, key: str | None) -> str | None:
    """Return the last run of a key. None if there is none, or if it has failed."""
    requests = settings.federated_dir(portfolio).glob("federated-*/request.json")
    for request in sorted(requests, reverse=True):
        if key is not None and json.loads(request.read_text())["key"] == key:
            try:
                is_finished(portfolio, request.parent.name)
            except FailedRunError:
                return None
            return request.parent.name
    return None


def is_finished(portfolio: str, run: str) -> bool:
    """Return whether a run has a result.

    Raises:
        FailedRunError: the run failed, or nobody works on it any more.
        MissingError: there is no such run.
    """
    folder = settings.federated_dir(portfolio) / run
    request, failed = folder / "request.json", folder / "error.txt"
    if not request.is_file():
        raise MissingError(f"no federated run {run} in {folder.parent}")
    if failed.is_file():
        raise FailedRunError(f"{run}: {failed.read_text().strip()}")
    if (folder / "result.json").is_file():
        return True
    marks = [each.stat().st_mtime for each in (request, folder / ALIVE) if each.is_file()]
    silent = time.time() - max(marks)
    if silent > DEAD_AFTER_SECONDS:
        who = "the service federation takes no requests" if settings.served_sites() else (
            "its process was killed")  # fmt: skip
        raise FailedRunError(
            f"{run}: nobody has worked on it for {silent:.0f} seconds, as {who}; clear the task "
            "start, which starts it anew"
        )
    return False


def read_result(portfolio: str, run: str) -> dict[str, Any]:
    """Return the result of a finished run."""
    found: dict[str, Any] = json.loads(
        (settings.federated_dir(portfolio) / run / "result.json").read_text()
    )
    return found


def take(folder: Path) -> None:
    """Run the request in a folder, and write its result or its error there."""
    partly, ended = folder / "result.part", threading.Event()
    beating = threading.Thread(target=_beat, args=(folder / ALIVE, ended), daemon=True)
    beating.start()
    try:
        start_engine(folder / "request.json", partly, settings.site_url() or "")
        partly.replace(folder / "result.json")
    except LoanScoringError as error:
        (folder / "error.txt").write_text(f"{error}\n")
    finally:
        ended.set()
        beating.join()


def _beat(alive: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        alive.touch()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
