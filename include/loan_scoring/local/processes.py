"""Inspect other processes of this machine, send signals to processes, and react to signals.

A zombie counts as dead, because the parent of the zombie may never reap it.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil


def is_alive(pid: int) -> bool:
    """Return whether a process runs. A zombie does not count as running."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def started_at(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot.

    Return None if no process has `pid`. Only pid and start time together identify a process,
    because Linux reuses pids. psutil's create_time() is not used, because its result changes when
    the machine's clock is set. The unit must not change, because state files of all versions since
    0.1.0 contain clock ticks.
    """
    try:
        # The second field is the program's name in parentheses, and the name may contain spaces and
        # parentheses. So only the text after the last closing parenthesis is split into fields.
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def command_line(pid: int) -> list[str]:
    """Return the command line of a process: the program and its arguments.

    Return an empty list if the process has ended or may not be inspected.
    """
    try:
        arguments: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
    return arguments


def working_in(folder: Path) -> list[int]:
    """Return the pids of the processes whose working directory is `folder`.

    Only processes that this user may inspect are found.
    """
    # For a zombie or a process of another user, psutil returns None as the working directory.
    return [each.pid for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(folder)]


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes. Processes that have ended are skipped."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait until a process has ended. Return False if the process still runs after `seconds`."""
    # psutil's wait() is not used, because psutil would also wait until a zombie is reaped.
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise SystemExit in the block on SIGINT, SIGTERM or SIGHUP.

    The exception runs the clean-up code of the block. Without this function, SIGTERM and SIGHUP
    would end the process without any clean-up.
    """
    # A signal that is ignored already stays ignored. Otherwise a process that was started by nohup
    # would end on SIGHUP.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]

    def leave(number: int, _frame: FrameType | None) -> None:
        # Ignore all of these signals from now on, because a second Ctrl-C must not interrupt the
        # clean-up.
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
