"""What Linux tells of processes in /proc. A zombie counts as dead: nobody may ever reap it."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_PROC = Path("/proc")


def _stat(pid: int) -> list[str]:
    try:
        # The name in parentheses may hold blanks and parentheses; the fields follow the last one.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["X"]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    return _stat(pid)[0] not in "ZX"


def started_at(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since boot: with the pid, its identity."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else None


def command_line(pid: int) -> list[str]:
    """Return a process's arguments, empty where it is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def all_pids() -> list[int]:
    """Return the ids of all processes that can be seen."""
    return [int(entry) for entry in os.listdir(_PROC) if entry.isdigit()]  # noqa: PTH208 - fast


def working_in(folder: Path) -> list[int]:
    """Return the living processes whose working directory is a folder, as far as we may look."""
    found = []
    for pid in all_pids():
        try:
            if (_PROC / str(pid) / "cwd").readlink() == folder and is_alive(pid):
                found.append(pid)
        except OSError:  # gone meanwhile, or somebody else's
            continue
    return found


def carrying(variable: str, prefix: str) -> list[int]:
    """Return the living processes that were started with a variable of that prefix."""
    needle = f"{variable}={prefix}".encode()
    found = []
    for pid in all_pids():
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if any(entry.startswith(needle) for entry in environment.split(b"\0")):
            found.append(pid)
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may be gone."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until a process is gone; return False where it still runs after so many seconds."""
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the block by SystemExit, so that its clean-up is done."""
    # What is ignored already stays so: nohup and background jobs want it.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]

    def leave(number: int, _frame: FrameType | None) -> None:
        # Once: a second signal, such as that of an impatient terminal, must not cut the clean-up.
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
