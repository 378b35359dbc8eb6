"""Publish and read where a state folder's Airflow runs."""

import json
import os
from pathlib import Path
from typing import NamedTuple

from loan_scoring.local import processes
from loan_scoring.local.airflow_environment import PASSWORDS_FILE
from loan_scoring.local.state import read_json, write_private


class StackStatus(NamedTuple):
    """A running supervisor; its Airflow answers at the URL once it is ready."""

    pid: int
    url: str
    password_file: Path
    is_ready: bool
    is_detached: bool


def folder_of(state_dir: Path) -> Path:
    """Return AIRFLOW_HOME, the folder of a state folder's Airflow."""
    return state_dir.resolve() / "airflow"


def publish_status(state_dir: Path, *, url: str, is_ready: bool, is_detached: bool) -> None:
    """Publish that this process supervises an Airflow."""
    started = processes.started_at(os.getpid())
    content = {"pid": os.getpid(), "started": started, "url": url}
    content |= {"is_ready": is_ready, "is_detached": is_detached}
    write_private(folder_of(state_dir) / "stack.json", json.dumps(content))


def withdraw_status(state_dir: Path) -> None:
    """Remove the published status."""
    (folder_of(state_dir) / "stack.json").unlink(missing_ok=True)


def stack_status(state_dir: Path) -> StackStatus | None:
    """Return where a state folder's Airflow runs, whoever started it; None if none runs."""
    folder = folder_of(state_dir)
    content = read_json(folder / "stack.json")
    # A killed supervisor leaves its file, and another program may get its pid.
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
