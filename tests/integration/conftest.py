"""Processes of their own: any task, and an ingest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import Child, Spawn, command, spawning


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a process that does a task after its `go`; it is ended with the test."""
    with spawning(tmp_path) as start:
        yield start


@pytest.fixture
def spawn_ingest(spawn: Spawn) -> Callable[[str, str, Path], Child]:
    """Start a process that takes a file in as a batch after its `go`."""

    def start(url: str, batch_id: str, source: Path) -> Child:
        return spawn(command, url, "ingest", "--batch", batch_id, "--source", str(source))

    return start
