"""See to it that no process of a stack outlives its supervisor, whichever way that dies.

Every process of a stack carries a mark in its environment, and hands it on to whatever it starts:
children, orphans and daemons alike. The guard is a process without the mark. It waits for the end
of a pipe whose other end only the supervisor holds, and then ends whoever carries the mark.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from loan_scoring.local import processes

MARK = "LOAN_SCORING_STACK"
_PATIENCE_SECONDS = 4.0
_LIMIT_SECONDS = 9.0


def process_mark(folder: Path, *parts: str) -> str:
    """Return the mark of a folder's stacks, of one of them, or of one of its components."""
    # A resolved path holds no //, so that no mark is the beginning of another folder's.
    return "".join(f"{part}//" for part in (str(folder.resolve()), *parts))


def end_marked(prefix: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> list[int]:
    """End all processes whose mark begins so, and return those that even SIGKILL does not end."""
    began = time.monotonic()
    asked: set[int] = set()
    while found := set(processes.carrying(MARK, prefix)) - {os.getpid()}:
        seconds = time.monotonic() - began
        if seconds > max(_LIMIT_SECONDS, patience_seconds + 1):
            return sorted(found)
        if seconds < patience_seconds:
            processes.send(found - asked, signal.SIGTERM)
            asked |= found
        else:
            processes.send(found, signal.SIGKILL)
        time.sleep(0.05)
    return []


class Guard:
    """A guard that watches over this process."""

    def __init__(self, prefix: str, log: Path) -> None:
        """Start the guard of all processes whose mark begins so; it writes to a log file."""
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
        """Let the guard end what is left, and wait for it."""
        os.close(self._write_end)
        self._process.wait()


def main() -> None:
    """Wait for the end of standard input, then sweep; the first argument is the mark's prefix."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever tells the supervisor may tell us too
    while os.read(0, 1024):
        pass
    if survivors := end_marked(sys.argv[1]):
        sys.exit(f"guard: these processes of {sys.argv[1]} do not end: {survivors}")


if __name__ == "__main__":
    main()
