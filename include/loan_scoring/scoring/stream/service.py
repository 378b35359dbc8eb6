"""Run the consumer of a stream until it is asked to stop.

Messages are read, written to Postgres, answered and then acknowledged, one micro-batch after the
other. So the broker holds back what Postgres cannot take.
"""

import asyncio
import logging
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError, DatabaseError, LoanScoringError, StateError
from loan_scoring.scoring.fields import example_application
from loan_scoring.scoring.request import score_applications
from loan_scoring.scoring.stream.brokers import Bodies, Channels, Stream
from loan_scoring.scoring.stream.intake import take_messages
from loan_scoring.scoring.stream.messages import (
    Answer,
    Message,
    dead_letter,
    read_message,
    reply_text,
)

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0
"""How often a row is written to table `task_metrics`."""
TAKE_OVER_SECONDS = 10.0
"""How often the messages of dead consumers are looked for."""
MOST_PAUSE_SECONDS = 10.0
"""Longest pause between two tries while Postgres or the broker cannot be reached."""
TASK = "stream.consume"

Reopen = Callable[[], Session]
"""A function that opens a session. Raises an error of `UNREACHABLE` if Postgres is down."""
UNREACHABLE = (psycopg2.OperationalError, psycopg2.InterfaceError, DatabaseError, BusyError)


@dataclass
class Counts:
    """What a consumer has done since its last report."""

    rows: int = 0
    errors: int = 0
    seconds: float = 0.0
    oldest_seconds: float = 0.0
    batch_id: str | None = None
    error: str | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))


class Consumer:
    """Takes the messages of one portfolio from a broker.

    Args:
        stream: connection to the broker, which is not started.
        names: channels of the portfolio.
        reopen: opens a session. It is called at the start and after a lost connection.
        consumer: name of this consumer.
        sign: file that is touched after each report, for a health check.
    """

    def __init__(
        self,
        stream: Stream,
        names: Channels,
        reopen: Reopen,
        consumer: str,
        sign: Path | None = None,
    ) -> None:
        self._sign = sign
        self._stream, self._names, self._reopen = stream, names, reopen
        self._run = f"{consumer}-{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        self._session: Session | None = None
        self._turn = asyncio.Lock()
        self._counts = Counts()
        self._reports = 0
        self._failure: LoanScoringError | None = None
        self.taken = 0

    async def run(self) -> int:
        """Consume until SIGTERM or SIGINT. Return the number of messages.

        The micro-batch at work is finished first.

        Raises:
            LoanScoringError: the stream cannot go on, for example because there is no champion.
        """
        from faststream import FastStream

        app = FastStream(self._stream.broker, logger=None)

        async def handle(bodies: Bodies, acknowledge: Callable[[], Awaitable[None]]) -> None:
            async with self._turn:
                if self._failure is not None:
                    return
                try:
                    await self._take(bodies, acknowledge)
                except LoanScoringError as error:
                    self._failure = error
                    app.exit()

        self._stream.subscribe(handle)
        await self._patiently(self._warm_up)
        await self._patiently(self._stream.prepare)
        await self._stream.take_over(handle, own=True)
        beside = [
            asyncio.create_task(self._every(REPORT_SECONDS, self._report)),
            asyncio.create_task(
                self._every(TAKE_OVER_SECONDS, lambda: self._stream.take_over(handle, own=False))
            ),
        ]
        log.info("%s: reading %s", self._run, self._names.applications)
        try:
            if self._failure is None:
                await app.run()
        finally:
            for each in beside:
                each.cancel()
            if self._session is not None:
                self._session.connection.close()
        if self._failure is not None:
            raise self._failure
        return self.taken

    async def _warm_up(self) -> None:
        """Load the champions, so that the first applicant does not wait for it."""

        def load() -> None:
            session = self._opened()
            score_applications(session, [example_application(session.contract)])

        await asyncio.to_thread(load)

    def _opened(self) -> Session:
        """Return a session whose connection is open."""
        if self._session is None or self._session.connection.closed:
            self._session = self._reopen()
        return self._session

    async def _take(self, bodies: Bodies, acknowledge: Callable[[], Awaitable[None]]) -> None:
        started = time.monotonic()
        messages = [read_message(body, sent_at) for body, sent_at in bodies]
        answers = await self._written(messages)
        dead = [dead_letter(each) for each in answers if each.refused]

        async def tell() -> None:
            # Before the acknowledgement, so that no answer is lost. One may come twice.
            if dead:
                await self._stream.publish(self._names.dead, dead)
            if answers:
                await self._stream.publish(self._names.replies, [*map(reply_text, answers)])
            await acknowledge()

        await self._patiently(tell)
        ages = [
            (datetime.now(UTC) - each.sent_at).total_seconds() for each in messages if each.sent_at
        ]
        self._counts.rows += len(messages)
        self._counts.seconds += time.monotonic() - started
        self._counts.oldest_seconds = max([self._counts.oldest_seconds, *ages])
        if answers:
            self._counts.batch_id = answers[-1].reply.get("batch_id")
        self.taken += len(messages)

    async def _written(self, messages: list[Message]) -> list[Answer]:
        """Write messages as often as needed until Postgres has them."""

        def write() -> list[Answer]:
            session = self._opened()
            try:
                return take_messages(session, messages)
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                session.connection.close()
                raise

        found: list[Answer] = []

        async def attempt() -> None:
            found[:] = await asyncio.to_thread(write)

        await self._patiently(attempt)
        return found

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do work, and do it again while Postgres or the broker cannot be reached."""
        pause = 0.1
        errors: tuple[type[Exception], ...] = (*UNREACHABLE, OSError, *_broker_errors())
        while True:
            try:
                return await work()
            except errors as error:
                if isinstance(error, StateError) and not isinstance(error, BusyError):
                    raise
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                self._counts.errors += 1
                self._counts.error = type(error).__name__
                log.warning("not reached, again in %.1f s: %s", pause, reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, MOST_PAUSE_SECONDS)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._patiently(work)

    async def _report(self) -> None:
        """Write lag, throughput and the age of the oldest message to table `task_metrics`."""
        lag, oldest = await self._stream.waiting()
        async with self._turn:
            counts, self._counts = self._counts, Counts()
            self._reports += 1
            await asyncio.to_thread(self._write_report, counts, lag, oldest)

    def _write_report(self, counts: Counts, lag: int, oldest: float) -> None:
        session = self._opened()
        with database.transaction(session.connection):
            database.execute(
                session.connection,
                "insert_stream_report",
                run=self._run,
                task=TASK,
                map_index=self._reports,
                batch_id=counts.batch_id,
                rows=counts.rows,
                seconds=counts.seconds,
                errors=counts.errors,
                error=counts.error,
                peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                started_at=counts.began,
                finished_at=datetime.now(UTC),
                lag_messages=lag,
                oldest_seconds=max(oldest, counts.oldest_seconds),
            )
        if self._sign is not None:
            self._sign.touch()


def _broker_errors() -> tuple[type[Exception], ...]:
    """Return the errors of brokers that cannot be reached."""
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    try:
        from confluent_kafka import KafkaException
    except ModuleNotFoundError:
        return (RedisConnectionError, RedisTimeoutError, ResponseError)
    return (RedisConnectionError, RedisTimeoutError, ResponseError, KafkaException)
