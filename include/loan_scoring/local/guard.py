"""End all processes of a stack when the supervisor dies, even if SIGKILL ends the supervisor.

Every process of a stack has a mark, which is an environment variable. Child processes inherit the
mark, so orphans and daemons have the mark, too. The guard is a process without the mark. The guard
reads from a pipe that only the supervisor can write to. When the supervisor dies, Linux closes the
pipe, and the guard then ends all processes with the mark.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "LOAN_SCORING_STACK"
_PATIENCE_SECONDS = 4.0
_LIMIT_SECONDS = 9.0


def process_mark(folder: Path, *parts: str) -> str:
    """Return the mark of all processes of a folder, or with `parts` the mark of one stack.

    The mark of a folder is a prefix of the marks of all stacks in the folder.
    """
    # A resolved path contains no //, so the mark of one folder is never a prefix of the mark of
    # another folder.
    return "".join(f"{part}//" for part in (str(folder.resolve()), *parts))


def marked_pids(prefix: str) -> list[int]:
    """Return the pids of the running processes whose mark begins with `prefix`.

    There are two reasons not to use psutil. First, psutil's environ() stops at the first empty
    entry, so the mark would be missed if a process has blanked one of its variables. Second,
    importing psutil would more than double the start-up time of the guard.
    """
    needle = f"{MARK}={prefix}".encode()
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - faster than Path.iterdir()
        if not entry.isdigit():
            continue
        try:
            environment = Path("/proc", entry, "environ").read_bytes()
        except OSError:  # the process has ended or belongs to another user
            continue
        if any(variable.startswith(needle) for variable in environment.split(b"\0")):
            found.append(int(entry))
    return found


def end_marked(prefix: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> list[int]:
    """End all processes whose mark begins with `prefix`.

    Each process gets SIGTERM first. Processes that still run after `patience_seconds` get SIGKILL.

    Returns:
        the pids of the processes that still run after SIGKILL.
    """
    began = time.monotonic()
    asked: set[int] = set()
    while found := set(marked_pids(prefix)) - {os.getpid()}:
        seconds = time.monotonic() - began
        if seconds > max(_LIMIT_SECONDS, patience_seconds + 1):
            return sorted(found)
        if seconds < patience_seconds:
            _send(found - asked, signal.SIGTERM)
            asked |= found
        else:
            _send(found, signal.SIGKILL)
        time.sleep(0.05)
    return []


def _send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Guard:
    """A handle on the guard, the process that ends all marked processes when this process ends."""

    def __init__(self, prefix: str, log: Path) -> None:
        """Start the guard for the processes whose mark begins with `prefix`.

        The guard writes its errors to the file `log`.
        """
        read_end, self._write_end = os.pipe()
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "loan_scoring.local.guard", prefix],
                    env={name: value for name, value in os.environ.items() if name != MARK},
                    stdin=read_end,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        finally:
            os.close(read_end)

    def release(self) -> None:
        """Make the guard end the marked processes that still run, and wait until the guard ends."""
        os.close(self._write_end)
        self._process.wait()


def main() -> None:
    """Wait until standard input ends, then end the processes whose mark begins with argument 1."""
    # The guard ignores these signals, because the guard must outlive the supervisor.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    if survivors := end_marked(sys.argv[1]):
        sys.exit(f"guard: these processes of {sys.argv[1]} do not end: {survivors}")


if __name__ == "__main__":
    main()
