"""Processes of their own: any task, an ingest; and what stands in the tables after them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import Child, Spawn, command, spawning

from loan_scoring import database
from loan_scoring.session import Session


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


@pytest.fixture(scope="session")
def digests() -> Callable[[Session, dict[str, str]], dict[str, str]]:
    """Count and digest tables; each is named with what of its row `t` counts, such as no times."""

    def take(session: Session, tables: dict[str, str]) -> dict[str, str]:
        return {
            name: database.select(
                session.connection,
                "select count(*) || ' ' || md5(string_agg(r, '|' order by r))"
                f" from (select ({row})::text as r from {name} as t) as rows",
            )[1][0][0]
            for name, row in tables.items()
        }

    return take
