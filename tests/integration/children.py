"""Processes of their own, to be raced and killed: they wait for `go` and tell every statement.

They are forked, as Airflow forks its tasks, from a process that has imported everything, so that
what is timed, raced or killed is the work.
"""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest import mock

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, cursor

from loan_scoring.cli.main import main
from loan_scoring.contract import Channel
from loan_scoring.database.session import Session, open_session
from loan_scoring.monitoring.alerts.delivery import deliver_alerts
from loan_scoring.monitoring.alerts.messages import Message
from loan_scoring.scoring.batch import plan_scoring, publish_scores
from loan_scoring.scoring.mini_batch import score_mini_batch

PRELOADED = [
    "great_expectations",
    "sklearn.cluster",
    "sklearn.ensemble",
    "sklearn.pipeline",
    "skops.io",
    "loan_scoring.cli",
    "loan_scoring.ingest.batches",
    "loan_scoring.models.scorer",
    "loan_scoring.scoring.batch",
    "loan_scoring.database.task_metrics",
    "loan_scoring.ingest.quality.great_expectations",
]
_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload(PRELOADED)


class Step(NamedTuple):
    """A statement that a child sends to Postgres, and all that it does until the next one."""

    name: str
    began: float


class Child:
    """A process that does a task once it is told to."""

    def __init__(self, errors: Path, task: Callable[..., int | None], *arguments: Any) -> None:
        self._errors = errors
        self._pipe, theirs = _FORKING.Pipe()
        ours = {name: os.environ[name] for name in os.environ if name.startswith("LOAN_SCORING_")}
        self.process = _FORKING.Process(
            target=_work, args=(theirs, errors, ours, task, arguments), daemon=True
        )
        self.process.start()
        theirs.close()
        assert self._pipe.recv() == "ready"

    def go(self, how: str = "freely") -> None:
        """Let it begin: `freely`, or `step by step`, each when `steps` is asked for the next."""
        self._how = how
        self._pipe.send(how)

    def end(self) -> int | None:
        """Wait for it; return its exit code, negative for the signal that killed it."""
        self.process.join(60)
        return self.process.exitcode

    def steps(self) -> Iterator[Step]:
        """Give each step as it begins, until the process ends."""
        try:
            while True:
                yield self._pipe.recv()
                if self._how == "step by step":
                    self._pipe.send("on")
        except (EOFError, ConnectionResetError):
            return

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def wait_for(self, step: int, seconds: float) -> list[Step]:
        """Wait until so many seconds after a step began; return it and those before."""
        told = list(itertools.islice(self.steps(), step + 1))
        time.sleep(seconds)
        return told

    def kill_in(self, step: int, seconds: float) -> Step:
        """Kill it so many seconds after a step began; return the one that it died in."""
        told = self.wait_for(step, seconds)
        self.kill()
        return [*told, *self.steps()][-1]

    def errors(self) -> str:
        return self._errors.read_text()

    def close(self) -> None:
        self.kill()
        self.process.close()
        self._pipe.close()


Spawn = Callable[..., Child]


@contextmanager
def spawning(folder: Path) -> Iterator[Spawn]:
    """Yield what starts children, whose stderr goes into the folder; end them with the block."""
    started: list[Child] = []

    def start(task: Callable[..., int | None], *arguments: Any) -> Child:
        started.append(Child(folder / f"process-{len(started)}.log", task, *arguments))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.close()


def command(url: str, *arguments: str) -> int:
    """Run a command of loan-scoring on a database."""
    return main([*arguments, "--database", url])


def deliver_into(url: str, channels: list[Channel], taken: str) -> None:
    """Do what the task `notify` of a DAG does; what is sent is noted in a file, by its id."""

    def send(channel: Channel, message: Message) -> None:
        with Path(taken).open("a") as out:
            print(message.message_id, file=out)

    with open_session("loan_default", url) as session:
        contract = session.contract.model_copy(update={"notifications": channels})
        deliver_alerts(Session(contract, session.connection), send, "2026-01-05")


def plan(url: str, batch_id: str) -> None:
    """Do what the task `plan` of the score DAG does."""
    with open_session("loan_default", url) as session:
        plan_scoring(session, batch_id)


def score(url: str, run_id: str, mini_batches: list[int]) -> None:
    """Do what a worker does to which the DAG's mapped tasks of some mini-batches fall."""
    with open_session("loan_default", url) as session:
        for mini_batch in mini_batches:
            score_mini_batch(session, run_id, mini_batch)


def publish(url: str, run_id: str) -> None:
    """Do what the task `publish` of the score DAG does."""
    with open_session("loan_default", url) as session:
        publish_scores(session, run_id)


def _work(
    pipe: Connection,
    errors: Path,
    environment: dict[str, str],
    task: Callable[..., int | None],
    arguments: tuple[Any, ...],
) -> NoReturn:
    for name in [name for name in os.environ if name.startswith("LOAN_SCORING_")]:
        del os.environ[name]
    os.environ.update(environment)
    for path, descriptor in ((os.devnull, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    pipe.send("ready")
    how = pipe.recv()

    one_at_a_time = threading.Lock()

    def tell(step: Step) -> None:
        with one_at_a_time:
            pipe.send(step)
            if how == "step by step":
                pipe.recv()

    with telling(tell):
        sys.exit(task(*arguments))


@contextmanager
def telling(tell: Callable[[Step], None]) -> Iterator[None]:
    """Tell each step of all connections that are opened inside."""

    def begin(name: str) -> None:
        tell(Step(name, time.monotonic()))

    class Cursor(cursor):
        def execute(self, query: str | sql.Composable, values: Any = None) -> None:
            begin(_name(query, self))
            super().execute(query, values)

        def copy_expert(self, query: sql.Composable, *rest: Any) -> None:
            name = _name(query, self)
            begin(name)
            super().copy_expert(query, *rest)
            begin(f"after {name}")

    class Telling(connection):
        def commit(self) -> None:
            begin("commit")
            super().commit()
            begin("after commit")

    def connect(*rest: Any, **options: Any) -> connection:
        return plain(*rest, **options, connection_factory=Telling, cursor_factory=Cursor)

    plain = psycopg2.connect
    with mock.patch.object(psycopg2, "connect", connect):
        yield


def _name(query: str | sql.Composable, of: cursor) -> str:
    """Return the statement's beginning, without the comment before it."""
    text = query.as_string(of) if isinstance(query, sql.Composable) else query
    text = " ".join(line for line in text.splitlines() if not line.startswith("--"))
    return " ".join(text.split()[:4])[:40]
