"""Read and correct postmaster.pid, the file in a data folder that names its Postgres server."""

from pathlib import Path
from typing import NamedTuple

from loan_scoring.local import processes

_NOBODYS_PID = 99_999_999  # no process has this pid, because Linux assigns smaller pids only


class Postmaster(NamedTuple):
    """A running Postgres server. Its status is `starting`, `ready` or `stopping`."""

    pid: int
    port: int
    status: str


def read_postmaster(data: Path) -> Postmaster | None:
    """Return the running server of a data folder.

    Return None if postmaster.pid is missing, incomplete or left by a dead server.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    # The server may be dead, and its pid may now belong to another program or to another Postgres.
    # So the process must be named postgres and have the server's port in its arguments.
    arguments = processes.command_line(pid)
    if not arguments or Path(arguments[0]).name != "postgres" or str(port) not in arguments:
        return None
    return Postmaster(pid, port, lines[7].strip() if len(lines) > 7 else "starting")


def disown_stale_pid(data: Path) -> None:
    """Correct the postmaster.pid of a dead server if the file would prevent the next start."""
    path = data / "postmaster.pid"
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    if not lines:
        path.unlink()  # a crash can leave an empty file, which makes every start fail
    elif Path("/proc", lines[0]).exists():
        # Another program, a thread or a zombie now has the pid of the dead server, so Postgres
        # would think that the server still runs. psutil.pid_exists() is not used, because it is
        # false for a thread. The file is not deleted, because the file has a line on shared memory
        # that tells Postgres whether backends of the dead server still run.
        path.write_text("\n".join([str(_NOBODYS_PID), *lines[1:]]) + "\n")
