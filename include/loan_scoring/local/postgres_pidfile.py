"""Read postmaster.pid, the file by which a Postgres data folder tells of its server."""

from pathlib import Path
from typing import NamedTuple

from loan_scoring.local import processes

_NOBODYS_PID = 99_999_999  # above the largest pid that Linux gives


class Postmaster(NamedTuple):
    """A server that runs: its status is starting, ready or stopping."""

    pid: int
    port: int
    status: str


def read_postmaster(data: Path) -> Postmaster | None:
    """Return the server of a data folder; None where the file is missing, partial or stale."""
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
    """Make the file of a dead server harmless, where Postgres would take its server for alive."""
    path = data / "postmaster.pid"
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    if not lines:
        path.unlink()  # an empty one, left by a crash, makes Postgres refuse for good
    elif Path("/proc", lines[0]).exists():
        # Another program has the pid, or a zombie that nobody reaps. The file is not removed: by
        # its line on shared memory Postgres sees that backends of the dead server still work.
        path.write_text("\n".join([str(_NOBODYS_PID), *lines[1:]]) + "\n")
