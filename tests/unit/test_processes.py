"""A process is known by its pid and its start; a zombie is dead."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loan_scoring.local import processes
from loan_scoring.local.airflow_status import folder_of, publish_status, stack_status


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", "import time; time.sleep(600)", "a (b) c"]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        yield process
        process.kill()


def test_zombie_is_dead_and_gone(sleeper):
    assert processes.is_alive(sleeper.pid)
    assert not processes.wait_gone(sleeper.pid, 0.05)
    sleeper.kill()
    assert processes.wait_gone(sleeper.pid, 5)
    assert Path("/proc", str(sleeper.pid)).exists()  # nobody has waited for it
    assert processes.command_line(sleeper.pid) == []


def test_process_is_found_by_its_folder_and_its_arguments(sleeper, tmp_path):
    assert processes.working_in(tmp_path) == [sleeper.pid]
    assert processes.command_line(sleeper.pid)[-1] == "a (b) c"


def test_process_that_never_was_has_neither_start_nor_arguments():
    none = 99_999_999
    assert not processes.is_alive(none)
    assert processes.started_at(none) is None
    assert processes.command_line(none) == []
    processes.send([none], 15)


def test_stack_that_version_0_1_0_started_is_found(tmp_path, sleeper):
    """It wrote the start of its supervisor in clock ticks since boot, field 22 of proc(5)."""
    awk = ["awk", "{print $22}", f"/proc/{sleeper.pid}/stat"]
    ticks = int(subprocess.run(awk, capture_output=True, check=True).stdout)
    folder_of(tmp_path).mkdir()
    status = {"pid": sleeper.pid, "started": ticks, "url": "http://127.0.0.1:1"}
    status |= {"is_ready": True, "is_detached": True}
    file = folder_of(tmp_path) / "stack.json"
    file.write_text(json.dumps(status))
    found = stack_status(tmp_path)
    assert found is not None
    assert found.pid == sleeper.pid
    file.write_text(json.dumps(status | {"started": ticks - 1}))  # another program has its pid
    assert stack_status(tmp_path) is None
    publish_status(tmp_path, url="http://127.0.0.1:1", is_ready=True, is_detached=True)
    assert json.loads(file.read_text())["pid"] == os.getpid()
    assert stack_status(tmp_path) is not None
