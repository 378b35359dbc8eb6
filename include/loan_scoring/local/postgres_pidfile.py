"""Read postmaster.pid, the file in a Postgres data folder that names its server."""

from pathlib import Path
from typing import NamedTuple

from loan_scoring.local import processes

_NOBODYS_PID = 99_999_999  # above the largest pid that Linux gives


class Postmaster(NamedTuple):
    """A running server; its status is starting, ready or stopping."""

    pid: int
    port: int
    status: str


def read_postmaster(data: Path) -> Postmaster | None:
    """Return the server of a data folder; None if the file is missing, partial or stale."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    # The pid may belong to another program by now, even to another Postgres.
    arguments = processes.command_line(pid)
    if not arguments or Path(arguments[0]).name != "postgres" or str(port) not in arguments:
        return None
    return Postmaster(pid, port, lines[7].strip() if len(lines) > 7 else "starting")


def disown_stale_pid(data: Path) -> None:
    """Correct the file of a dead server that would keep Postgres from starting."""
    path = data / "postmaster.pid"
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    if not lines:
        path.unlink()  # an empty file, left by a crash, makes every start fail
    elif Path("/proc", lines[0]).exists():
        # Another program, one of its threads or a zombie has the pid: psutil.pid_exists() is false
        # for a thread, but Postgres would take it for the server. The file is kept, because its
        # line on shared memory shows Postgres that backends of the dead server still run.
        path.write_text("\n".join([str(_NOBODYS_PID), *lines[1:]]) + "\n")
