"""Keep federated runs as files beside the artifacts, so that a DAG starts one and waits for it."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.errors import MissingError, StateError
from loan_scoring.federated.request import request_of
from loan_scoring.federated.run import environment, start_engine


def start_run(contract: Contract, url: str) -> str:
    """Write the request of a run, let the engine take it, and return the name of the run.

    Where LOAN_SCORING_SERVED_SITES is set, a server beside the SuperLink takes the request.
    Otherwise the engine runs on this machine, with the sites of one database.

    Raises:
        StateError: the second environment is missing.
    """
    sites = settings.served_sites()
    run = f"federated-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    folder = settings.artifacts_dir(contract.portfolio) / run
    if not sites:
        environment()
    folder.mkdir(parents=True)
    request = request_of(contract, int(sites) if sites else None)
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


def is_finished(portfolio: str, run: str) -> bool:
    """Return whether a run has a result.

    Raises:
        StateError: the run failed.
        MissingError: there is no such run.
    """
    folder = settings.artifacts_dir(portfolio) / run
    if not folder.is_dir():
        raise MissingError(f"no federated run {run} in {folder.parent}")
    failed = folder / "error.txt"
    if failed.is_file():
        raise StateError(failed.read_text().strip())
    return (folder / "result.json").is_file()


def read_result(portfolio: str, run: str) -> dict[str, Any]:
    """Return the result of a finished run."""
    found: dict[str, Any] = json.loads(
        (settings.artifacts_dir(portfolio) / run / "result.json").read_text()
    )
    return found


def take(folder: Path) -> None:
    """Run the request in a folder, and write its result or its error there."""
    partly = folder / "result.part"
    try:
        start_engine(folder / "request.json", partly, settings.site_url() or "")
        partly.replace(folder / "result.json")
    except StateError as error:
        (folder / "error.txt").write_text(f"{error}\n")


if __name__ == "__main__":
    take(Path(sys.argv[1]))
