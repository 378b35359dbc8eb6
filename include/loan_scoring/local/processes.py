"""Look at other processes of this machine. A zombie counts as dead: nobody may ever reap it."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil


def is_alive(pid: int) -> bool:
    """Return whether a process runs."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def started_at(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; with the pid it is its identity.

    Not psutil's create_time(), which is a time of day: it changes when the machine's clock is set.
    State files keep these ticks since version 0.1.0.
    """
    try:
        # The name in parentheses may hold blanks and parentheses; the fields follow the last one.
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def command_line(pid: int) -> list[str]:
    """Return a process's arguments; none if it is gone."""
    try:
        arguments: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
    return arguments


def working_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is a folder, of those that we may look at."""
    # A process of somebody else has the directory None; a zombie has none either.
    return [each.pid for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(folder)]


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes; those that are gone are left out."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until a process is gone; return False if it still runs after so many seconds."""
    # psutil's wait() would wait for a zombie, too.
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Make SIGINT, SIGTERM and SIGHUP end the block by SystemExit, so that its clean-up runs."""
    # A signal that is ignored stays ignored: nohup and background jobs need that.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]

    def leave(number: int, _frame: FrameType | None) -> None:
        # Only once: a second signal, as from an impatient terminal, must not cut the clean-up.
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
