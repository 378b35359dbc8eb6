"""Write and read stack.json, which names the supervisor and the URL of a running Airflow."""

import json
import os
from pathlib import Path
from typing import NamedTuple

from loan_scoring.local import processes
from loan_scoring.local.airflow_environment import PASSWORDS_FILE
from loan_scoring.local.state import read_json, write_private


class StackStatus(NamedTuple):
    """The pid of the supervisor and the URL of an Airflow.

    Airflow responds at the URL once `is_ready` is true.
    """

    pid: int
    url: str
    password_file: Path
    is_ready: bool
    is_detached: bool


def folder_of(state_dir: Path) -> Path:
    """Return the folder within a state folder that Airflow uses as AIRFLOW_HOME."""
    return state_dir.resolve() / "airflow"


def publish_status(state_dir: Path, *, url: str, is_ready: bool, is_detached: bool) -> None:
    """Write stack.json, which names this process as the supervisor of the Airflow at `url`."""
    started = processes.started_at(os.getpid())
    content = {"pid": os.getpid(), "started": started, "url": url}
    content |= {"is_ready": is_ready, "is_detached": is_detached}
    write_private(folder_of(state_dir) / "stack.json", json.dumps(content))


def withdraw_status(state_dir: Path) -> None:
    """Remove stack.json, so that other processes see that Airflow has stopped."""
    (folder_of(state_dir) / "stack.json").unlink(missing_ok=True)


def stack_status(state_dir: Path) -> StackStatus | None:
    """Return the status of the Airflow that runs or starts in a state folder.

    Return None if no Airflow runs or starts there.
    """
    folder = folder_of(state_dir)
    content = read_json(folder / "stack.json")
    # A killed supervisor leaves stack.json behind, and another process may get the same pid. So the
    # start time of the process is compared, too.
    if (
        not content
        or not processes.is_alive(content["pid"])
        or processes.started_at(content["pid"]) != content["started"]
    ):
        return None
    return StackStatus(
        content["pid"],
        content["url"],
        folder / PASSWORDS_FILE,
        content["is_ready"],
        content["is_detached"],
    )
