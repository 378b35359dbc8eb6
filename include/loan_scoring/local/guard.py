"""End all processes of a stack when its supervisor dies, however it dies.

Every process of a stack carries a mark in its environment and passes it on to whatever it starts:
children, orphans and daemons. The guard is a process without the mark. It waits for the end of a
pipe whose other end only the supervisor holds, then ends all processes that carry the mark.
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
    """Return the mark of a folder's stacks, of one of them, or of one of its components."""
    # A resolved path holds no //, so that no mark is the beginning of another folder's.
    return "".join(f"{part}//" for part in (str(folder.resolve()), *parts))


def marked_pids(prefix: str) -> list[int]:
    """Return the living processes that were started with a mark that begins with `prefix`.

    Not by psutil: its environ() ends at the first empty entry, so a process that blanks one of its
    variables would be missed, and its import takes longer than the rest of the guard's start.
    """
    needle = f"{MARK}={prefix}".encode()
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - fast
        if not entry.isdigit():
            continue
        try:
            environment = Path("/proc", entry, "environ").read_bytes()
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if any(variable.startswith(needle) for variable in environment.split(b"\0")):
            found.append(int(entry))
    return found


def end_marked(prefix: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> list[int]:
    """End all processes whose mark begins with `prefix`; return those that SIGKILL did not end.

    Each gets SIGTERM first, and SIGKILL after `patience_seconds`.
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
    """A guard that watches over this process."""

    def __init__(self, prefix: str, log: Path) -> None:
        """Start the guard of all processes whose mark begins with `prefix`; it writes to a log."""
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
        """Let the guard end the processes that are left, and wait for it."""
        os.close(self._write_end)
        self._process.wait()


def main() -> None:
    """Wait for the end of standard input, then end all processes with the mark of argument 1."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to the guard as well
    while os.read(0, 1024):
        pass
    if survivors := end_marked(sys.argv[1]):
        sys.exit(f"guard: these processes of {sys.argv[1]} do not end: {survivors}")


if __name__ == "__main__":
    main()
