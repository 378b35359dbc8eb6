"""Run Airflow in the background under a supervisor process, which restarts dead components."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from loan_scoring.errors import LoanScoringError
from loan_scoring.local import guard, processes
from loan_scoring.local.airflow import AirflowStack
from loan_scoring.local.airflow_status import StackStatus, folder_of, stack_status, withdraw_status
from loan_scoring.local.state import locked

_READY = "ready"
_STOP_SECONDS = 20.0


def start_detached(stack: AirflowStack) -> StackStatus:
    """Start a stack in the background, wait until the stack is ready, and return its status.

    The stack runs under a new supervisor process. If a detached stack is ready already, return the
    status of that stack and start nothing.

    Raises:
        LoanScoringError: the stack did not start. None of its processes is left running.
    """
    running = detached_status(stack.state_dir)
    if running is not None and running.is_ready:
        return running
    stack.logs.mkdir(parents=True, exist_ok=True)
    log = stack.logs / "supervisor.log"
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "loan_scoring.local.detached"],
            env={name: value for name, value in os.environ.items() if name != guard.MARK},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            text=True,
        )
    try:
        # The description contains passwords, so it is sent through standard input. Command-line
        # arguments could be read by every user of the machine.
        with cast(IO[str], supervisor.stdin) as to_it, suppress(BrokenPipeError):
            to_it.write(json.dumps(_description(stack)))
        with cast(IO[str], supervisor.stdout) as from_it:
            answer = from_it.read()
    except BaseException:  # also on Ctrl-C, because otherwise a half-started stack remains
        supervisor.terminate()
        supervisor.wait()
        raise
    if answer != _READY:
        supervisor.wait()
        raise LoanScoringError(answer or f"the supervisor of Airflow died; see {log}")
    # The supervisor keeps running after this process ends. Setting returncode stops Popen's warning
    # about that.
    supervisor.returncode = 0
    started = detached_status(stack.state_dir)
    if started is None:
        raise LoanScoringError(f"the supervisor of Airflow died after it was ready; see {log}")
    return started


def stop_detached(state_dir: Path) -> bool:
    """End a detached stack. Return True if a detached stack was running.

    Processes that a killed supervisor left behind are ended, too.
    """
    running = detached_status(state_dir)
    if running is not None:
        processes.send([running.pid], signal.SIGTERM)
        if not processes.wait_gone(running.pid, _STOP_SECONDS):
            processes.send([running.pid], signal.SIGKILL)
    folder = folder_of(state_dir)
    # A stack that runs in the foreground must not be ended. Such a stack holds the lock. Then
    # locked() raises BlockingIOError, and the block is skipped.
    with suppress(FileNotFoundError, BlockingIOError), locked(folder / "lock", wait=False):
        guard.end_marked(guard.process_mark(folder))
        withdraw_status(state_dir)
    return running is not None


def detached_status(state_dir: Path) -> StackStatus | None:
    """Return the status of the detached stack that runs or starts in a state folder.

    Return None if no detached stack runs or starts there.
    """
    running = stack_status(state_dir)
    return running if running is not None and running.is_detached else None


def _description(stack: AirflowStack) -> dict[str, object]:
    return {
        "state_dir": str(stack.state_dir),
        "dags_folder": str(stack.dags_folder),
        "plugins_folder": str(stack.plugins_folder),
        "metadata_url": stack.metadata_url,
        "port": stack.port,
        "parallelism": stack.parallelism,
        "expected_dags": list(stack.expected_dags),
        "environment": dict(stack.environment),
    }


def main() -> int:
    """Run the stack that standard input describes until a signal ends this process.

    Return 1 if the stack does not start.
    """
    logging.basicConfig(format="%(asctime)s %(message)s")
    description = json.load(sys.stdin)
    for name in ("state_dir", "dags_folder", "plugins_folder"):
        description[name] = Path(description[name])
    stack = AirflowStack(**description, is_detached=True)
    try:
        with stack:
            _answer(_READY)
            while True:
                time.sleep(1)
    except LoanScoringError as error:
        logging.error("%s", error)
        _answer(str(error))
        return 1


def _answer(text: str) -> None:
    """Send `text` to the process that waits in `start_detached`, then close the pipe."""
    with suppress(BrokenPipeError):  # the waiting process may have ended
        os.write(1, text.encode())
    # dup2 closes the pipe, because the waiting process reads until the pipe ends. Later output of
    # this process goes to the log.
    os.dup2(2, 1)


if __name__ == "__main__":
    sys.exit(main())
