"""No process with a stack's mark outlives its supervisor; others are not touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loan_scoring.local import guard, processes

# A child that ignores SIGTERM and starts a daemon, in its own session, that ignores it as well.
STUBBORN = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
time.sleep(600)
"""
SUPERVISOR = """
import os, subprocess, sys, time
from pathlib import Path
from loan_scoring.local import guard
folder, stubborn = Path(sys.argv[1]), sys.argv[2]
watch = guard.Guard(guard.process_mark(folder, "run"), folder / "guard.log")
environment = os.environ | {guard.MARK: guard.process_mark(folder, "run", "child")}
children = [
    subprocess.Popen([sys.executable, "-c", stubborn], env=environment, start_new_session=True)
    for _ in range(2)
]
print(watch._process.pid, flush=True)
time.sleep(600)
"""


class Supervisor:
    def __init__(self, folder: Path) -> None:
        self.prefix = guard.process_mark(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, folder, STUBBORN], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.guard_pid = int(self.output.readline())
        until(lambda: len(self.marked()) == 4)  # two children, two daemons
        time.sleep(0.2)  # for their signal handlers

    def marked(self) -> list[int]:
        return guard.marked_pids(self.prefix)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()


def until(condition: Callable[[], bool], seconds: float = 10) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.kill()
    guard.end_marked(supervisor.prefix, patience_seconds=0)


def test_killed_supervisor_takes_stubborn_daemons_with_it(supervisor):
    supervisor.kill()
    assert until(lambda: not supervisor.marked()) < 10
    until(lambda: not processes.is_alive(supervisor.guard_pid))


def test_guard_outlasts_the_signals_that_a_terminal_sends(supervisor):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(supervisor.guard_pid, number)
    time.sleep(0.2)
    assert processes.is_alive(supervisor.guard_pid)
    assert len(supervisor.marked()) == 4


def test_sweep_does_the_work_of_a_killed_guard(supervisor):
    os.kill(supervisor.guard_pid, signal.SIGKILL)
    supervisor.kill()
    assert len(supervisor.marked()) == 4
    assert guard.end_marked(supervisor.prefix, patience_seconds=0.5) == []
    assert supervisor.marked() == []


def test_sweep_touches_no_other_stack(supervisor, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    guard.end_marked(guard.process_mark(other), patience_seconds=0)
    guard.end_marked(guard.process_mark(tmp_path.with_name(tmp_path.name[:-1])), patience_seconds=0)
    guard.end_marked(guard.process_mark(tmp_path, "ru"), patience_seconds=0)
    guard.end_marked(guard.process_mark(tmp_path, "run", "chil"), patience_seconds=0)
    assert len(supervisor.marked()) == 4


def test_sweep_ends_obedient_processes_by_sigterm(tmp_path):
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7));"
    with subprocess.Popen(
        [sys.executable, "-c", code + "print(1, flush=True); time.sleep(600)"],
        env=os.environ | {guard.MARK: guard.process_mark(tmp_path, "run")},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        guard.end_marked(guard.process_mark(tmp_path))
        assert process.wait() == 7


def test_released_guard_is_gone(tmp_path):
    watch = guard.Guard(guard.process_mark(tmp_path, "run"), tmp_path / "guard.log")
    watch.release()
    assert watch._process.returncode == 0
    assert (tmp_path / "guard.log").read_text() == ""
