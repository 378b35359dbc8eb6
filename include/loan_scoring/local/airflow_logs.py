"""Find the error in Airflow's logs that says why a task or a process failed."""

import json
import re
from pathlib import Path

_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit)\b.*:")
_ERROR = re.compile(r"\[(error|critical) *\]|\berror:", re.IGNORECASE)


def task_log(
    log_folder: Path, dag_id: str, task_id: str, run_id: str, map_index: int, attempt: int
) -> Path:
    """Return the path of the log file that Airflow writes for one attempt at a task.

    `map_index` is -1 if the task is not mapped.
    """
    folder = log_folder / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
    if map_index >= 0:
        folder /= f"map_index={map_index}"
    return folder / f"attempt={attempt}.log"


def cause_in_task_log(log: Path) -> str:
    """Return the last exception or error in a task's log.

    The log has one JSON object per line. If the log is missing or has no error, the returned string
    says so.
    """
    cause = "it logged no error; its process was killed or never started"
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "it left no log; its process was killed or never started"
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # This line is not JSON, because a program that the task started wrote it.
        if details := entry.get("error_detail"):
            cause = f"{details[0]['exc_type']}: {details[0]['exc_value']}"
        elif entry.get("level") in ("error", "critical"):
            cause = str(entry.get("event"))
    return " ".join(cause.split())


def cause_in_process_log(log: Path, begin: int = 0) -> str:
    """Return the line of a process's log that most likely says why the process ended.

    Lines before byte `begin` are not searched, because earlier processes wrote them.
    """
    text = log.read_bytes()[begin:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for telling in (_EXCEPTION, _ERROR):
        if found := [line for line in lines if telling.search(line)]:
            return found[-1]
    return lines[-1] if lines else "it wrote nothing"
