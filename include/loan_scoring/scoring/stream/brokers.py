"""Speak to a broker: Redis Streams or Kafka, both through FastStream (extra `stream`).

The URL of the broker says which: `redis://HOST:PORT` or `kafka://HOST:PORT,HOST:PORT`. FastStream
is imported when a broker is opened, because only this service needs it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from loan_scoring.errors import StateError

GROUP = "loan-scoring"
"""The consumer group. All consumers of a portfolio are in it, so a message goes to one of them."""
FIELD = "__data__"
"""The field of a Redis entry that holds the message, as FastStream names it."""
KEPT_REPLIES = 100_000
"""Replies and dead letters that Redis keeps. Older ones are dropped."""
IDLE_SECONDS = 30
"""A message that another consumer has held for so long is taken over, because that one is dead."""
WAIT_SECONDS = 0.02
"""How long Kafka's consumer waits for a full micro-batch. Redis gives what is there at once."""

Bodies = Sequence[tuple[bytes, datetime | None]]
Handle = Callable[[Bodies, Callable[[], Awaitable[None]]], Awaitable[None]]
"""A function that takes messages with the times at which the broker got them, and then calls the
given function, which acknowledges them."""


class Channels(NamedTuple):
    """The names of a portfolio's streams (Redis) or topics (Kafka)."""

    applications: str
    replies: str
    dead: str


def channels(portfolio: str) -> Channels:
    """Return the names of the streams of a portfolio."""
    return Channels(*(f"{portfolio}.{name}" for name in Channels._fields))


class Stream(Protocol):
    """A connection to a broker."""

    broker: Any

    def subscribe(self, handle: Handle) -> None:
        """Register the function that takes messages. Call it before the broker is started."""

    async def prepare(self) -> None:
        """Make what the consumer needs, before the broker is started."""

    async def take_over(self, handle: Handle, *, own: bool) -> None:
        """Take what was delivered to this consumer, or to dead ones, and never acknowledged."""

    async def publish(self, channel: str, bodies: Sequence[bytes]) -> None:
        """Put messages on a channel, in their order. When this returns, the broker has them."""

    async def waiting(self) -> tuple[int, float]:
        """Return the number of messages without acknowledgement, and the oldest one's seconds."""


def open_stream(url: str, names: Channels, consumer: str, most: int) -> Stream:
    """Return a connection to the broker of a URL. It is not started.

    Args:
        url: URL of the broker.
        names: channels of the portfolio.
        consumer: name of this consumer, which is the same after a restart.
        most: maximum number of messages of a micro-batch.

    Raises:
        StateError: the URL names no broker, or the extra `stream` is not installed.
    """
    parts = urlsplit(url)
    kinds: dict[str, type[RedisStream] | type[KafkaStream]] = {
        "redis": RedisStream,
        "rediss": RedisStream,
        "kafka": KafkaStream,
    }
    if parts.scheme not in kinds or not parts.netloc:
        found = f"broker {parts.scheme}:// is not known" if url else "there is no broker"
        raise StateError(
            f"{found}; set LOAN_SCORING_BROKER_URL or --broker to redis://HOST:PORT or "
            "kafka://HOST:PORT, or start one with make up STREAM=1"
        )
    try:
        return kinds[parts.scheme](url, names, consumer, most)
    except ModuleNotFoundError as error:
        raise StateError(
            f"a stream needs the package {error.name} of the extra stream: "
            "`.venv/bin/uv pip install --require-hashes -r requirements-stream.txt`"
        ) from None


def _logger() -> logging.Logger:
    """Return the logger of FastStream, which writes one line for each error."""

    def shorten(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            record.msg = f"{record.getMessage()}: {record.exc_info[1]}".partition("\n")[0]
            record.args, record.exc_info = (), None
        is_wanted = not record.getMessage().startswith("Auto create topics is disabled")
        return record.levelno >= logging.WARNING and is_wanted

    logger = logging.getLogger(f"{__name__}.faststream")
    if not logger.filters:
        logger.addFilter(shorten)
    return logger


async def _undecoded(message: Any) -> None:
    """Decode nothing: the bytes are read by `read_message`, which never fails."""


class RedisStream:
    """Redis Streams with a consumer group. What is acknowledged is deleted from the stream."""

    def __init__(self, url: str, names: Channels, consumer: str, most: int) -> None:
        from faststream.redis import RedisBroker
        from faststream.redis.parser import MessageFormat

        class Plain(MessageFormat):
            """Messages as they are, so that a sender in any language needs no envelope."""

            @classmethod
            async def encode(cls, *, message: Any, **_: Any) -> bytes:
                return bytes(message)

            @classmethod
            def parse(cls, data: Any) -> tuple[bytes, dict[str, Any]]:  # noqa: ARG003 - read raw
                return b"null", {}

        self._names, self._consumer, self._most = names, consumer, most
        self.broker = RedisBroker(
            url, message_format=Plain, graceful_timeout=60.0, logger=_logger()
        )

    def subscribe(self, handle: Handle) -> None:
        from faststream import AckPolicy, Context
        from faststream.redis import StreamSub

        stream = StreamSub(
            self._names.applications,
            group=GROUP,
            consumer=self._consumer,
            batch=True,
            max_records=self._most,
        )

        @self.broker.subscriber(stream=stream, ack_policy=AckPolicy.MANUAL, decoder=_undecoded)
        async def take(message: Annotated[Any, Context("message")]) -> None:
            raw = message.raw_message
            await self._give(list(zip(raw["message_ids"], raw["data"], strict=True)), handle)

    async def prepare(self) -> None:
        from redis.exceptions import ResponseError

        await self.broker.connect()
        try:
            # From the beginning: what was sent before the first consumer came counts too.
            await self._client.xgroup_create(self._names.applications, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def take_over(self, handle: Handle, *, own: bool) -> None:
        name, after = self._names.applications, b"0-0"
        while True:
            if own:
                found = await self._client.xreadgroup(
                    GROUP, self._consumer, {name: after}, count=self._most
                )
                entries = dict(found).get(name.encode(), []) if found else []
                entries = entries[0] if entries and isinstance(entries[0], list) else entries
            else:
                _, entries, *_ = await self._client.xautoclaim(
                    name, GROUP, self._consumer, IDLE_SECONDS * 1000, after, count=self._most
                )
            if not entries:
                return
            after = entries[-1][0]
            await self._give(entries, handle)

    async def publish(self, channel: str, bodies: Sequence[bytes]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for body in bodies:
            await self.broker.publish(body, stream=channel, maxlen=KEPT_REPLIES, pipeline=pipeline)
        await pipeline.execute()

    async def waiting(self) -> tuple[int, float]:
        name = self._names.applications
        first = await self._client.xrange(name, count=1)
        age = (datetime.now(UTC) - _moment(first[0][0])).total_seconds() if first else 0.0
        return int(await self._client.xlen(name)), max(age, 0.0)

    async def _give(self, entries: Sequence[tuple[bytes, Any]], handle: Handle) -> None:
        async def acknowledge() -> None:
            ids = [entry for entry, _ in entries]
            # Both or none, because what is left in the stream counts as waiting.
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xack(self._names.applications, GROUP, *ids)
            pipeline.xdel(self._names.applications, *ids)
            await pipeline.execute()

        # An entry that was deleted while it was pending has no fields, and is only acknowledged.
        bodies = [(_body(fields), _moment(entry)) for entry, fields in entries if fields]
        await handle(bodies, acknowledge)

    @property
    def _client(self) -> Any:
        return self.broker.config.broker_config.connection.client


def _body(fields: dict[bytes, bytes]) -> bytes:
    """Return the message of a Redis entry. One without the field is given as its fields' text."""
    return fields.get(FIELD.encode()) or repr(fields).encode()


def _moment(entry: bytes) -> datetime:
    """Return when Redis got an entry, which is the first part of its id in milliseconds."""
    return datetime.fromtimestamp(int(entry.split(b"-")[0]) / 1000, UTC)


class KafkaStream:
    """Kafka with a consumer group. Offsets are committed after the transaction of Postgres."""

    def __init__(self, url: str, names: Channels, consumer: str, most: int) -> None:
        from faststream.confluent import KafkaBroker

        self._names, self._consumer, self._most = names, consumer, most
        self._taken: Any = None
        self._servers = urlsplit(url).netloc
        # `prepare` asks for the topics. FastStream would wait a minute where none may be made.
        self.broker = KafkaBroker(
            self._servers, graceful_timeout=60.0, logger=_logger(), allow_auto_create_topics=False
        )

    def subscribe(self, handle: Handle) -> None:
        from faststream import AckPolicy, Context

        self._taken = self.broker.subscriber(
            self._names.applications,
            group_id=GROUP,
            # A consumer that comes back under its name gets its partitions at once.
            group_instance_id=self._consumer,
            batch=True,
            max_records=self._most,
            polling_interval=WAIT_SECONDS,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=10,
            ack_policy=AckPolicy.MANUAL,
            decoder=_undecoded,
        )

        @self._taken
        async def take(message: Annotated[Any, Context("message")]) -> None:
            bodies = [(each.value() or b"", _sent_at(each)) for each in message.raw_message]
            await handle(bodies, message.ack)

    async def prepare(self) -> None:
        from confluent_kafka.admin import AdminClient

        await self.broker.connect()
        admin = AdminClient({"bootstrap.servers": self._servers, "log_level": 0})
        for name in self._names:
            # Asking for a topic makes it, where the cluster allows it. Who subscribes to
            # one that is not there would look for it again only after minutes.
            await asyncio.to_thread(admin.list_topics, name, timeout=10)

    async def take_over(self, handle: Handle, *, own: bool) -> None:
        """Do nothing: Kafka delivers what was not committed to whoever has the partition."""

    async def publish(self, channel: str, bodies: Sequence[bytes]) -> None:
        await asyncio.gather(*(self.broker.publish(body, channel) for body in bodies))

    async def waiting(self) -> tuple[int, float]:
        consumer = self._taken.consumer.consumer

        def lag() -> int:
            places = consumer.committed(consumer.assignment(), timeout=5)
            ends = [(each, *consumer.get_watermark_offsets(each, timeout=5)) for each in places]
            return sum(high - max(each.offset, low) for each, low, high in ends)

        return await asyncio.to_thread(lag), 0.0


def _sent_at(message: Any) -> datetime | None:
    kind, milliseconds = message.timestamp()
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if kind else None
