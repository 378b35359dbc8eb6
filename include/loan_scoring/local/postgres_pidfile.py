"""Read and correct postmaster.pid, in which a Postgres server records its pid and port."""

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
    # If the server is dead, its pid may now belong to another program or to another Postgres. So
    # check that the process is named postgres and has the server's port in its arguments.
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
        path.unlink()  # a crash can leave an empty file, with which every start would fail
    elif Path("/proc", lines[0]).exists():
        # A program, a thread or a zombie now has the pid of the dead server, so Postgres would
        # assume that the server still runs. Therefore the pid in the file is replaced. The file is
        # not deleted, because Postgres reads from another line of the file whether backends of the
        # dead server still use the shared memory. psutil.pid_exists() is not used above, because
        # the function returns False for a thread.
        path.write_text("\n".join([str(_NOBODYS_PID), *lines[1:]]) + "\n")
