"""Processes that ingest on their own, to be raced and killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

# All imports come before the start, so that what is timed, raced or killed is the ingest.
CHILD = """
import sys
import great_expectations
from loan_scoring import cli, ingest, telemetry
print("ready", flush=True)
sys.stdin.readline()
sys.exit(cli.main(sys.argv[1:]))
"""


class Ingesting:
    """A process that takes a file in once it is told to."""

    def __init__(self, url: str, batch_id: str, source: Path, errors: IO[bytes]) -> None:
        arguments = ["ingest", "--batch", batch_id, "--source", str(source), "--database", url]
        self._errors = errors
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", self.errors()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


Spawn = Callable[[str, str, Path], Ingesting]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a process that waits for its `go`; it is ended with the test."""
    started: list[Ingesting] = []
    files: list[IO[bytes]] = []

    def start(url: str, batch_id: str, source: Path) -> Ingesting:
        files.append((tmp_path / f"process-{len(files)}.log").open("w+b"))
        started.append(Ingesting(url, batch_id, source, files[-1]))
        return started[-1]

    yield start
    for each in started:
        each.close()
    for file in files:
        file.close()
