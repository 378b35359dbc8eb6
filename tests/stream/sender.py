"""Send messages to a broker until each is answered, as a careful sender does. Runs by itself.

    python sender.py URL_FILE PORTFOLIO MESSAGES RATE OUT

The URL file names the broker, which may be replaced by another one. What is not answered in time is
sent again. OUT gets, for each message, its replies and the seconds from the first push to the first
reply.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

AGAIN_SECONDS = 300.0


class RedisSide:
    """Sends to and reads from Redis."""

    def __init__(self, url: str, portfolio: str) -> None:
        import redis

        self._errors = redis.exceptions.RedisError
        self._client = redis.Redis.from_url(url, socket_timeout=5)
        self._portfolio, self._last = portfolio, "0-0"

    def send(self, bodies: list[bytes]) -> bool:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for body in bodies:
                pipeline.xadd(f"{self._portfolio}.applications", {"__data__": body})
            pipeline.execute()
        except self._errors:
            return False
        return True

    def read(self) -> list[bytes]:
        try:
            found = self._client.xread({f"{self._portfolio}.replies": self._last}, 1000, 5)
        except self._errors:
            time.sleep(0.05)
            return []
        if not found:
            return []
        entries = found[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
        self._last = entries[-1][0]
        return [fields[b"__data__"] for _, fields in entries]


class KafkaSide:
    """Sends to and reads from Kafka."""

    def __init__(self, url: str, portfolio: str) -> None:
        from confluent_kafka import Consumer, Producer

        servers = {"bootstrap.servers": urlsplit(url).netloc, "log_level": 0}
        self._portfolio = portfolio
        self._producer = Producer({**servers, "linger.ms": 1, "message.timeout.ms": 5000})
        self._consumer = Consumer(
            {**servers, "group.id": "sender", "auto.offset.reset": "earliest",
             "fetch.wait.max.ms": 10, "topic.metadata.refresh.interval.ms": 500}
        )  # fmt: skip
        self._consumer.subscribe([f"{portfolio}.replies"])

    def send(self, bodies: list[bytes]) -> bool:
        for body in bodies:
            self._producer.produce(f"{self._portfolio}.applications", body)
        self._producer.poll(0)
        return True

    def read(self) -> list[bytes]:
        self._producer.poll(0)
        found = self._consumer.consume(1000, 0.005)
        return [each.value() for each in found if not each.error()]


def connect(url: str, portfolio: str) -> RedisSide | KafkaSide:
    return (KafkaSide if url.startswith("kafka") else RedisSide)(url, portfolio)


def main(url_file: str, portfolio: str, messages: str, rate: str, out: str) -> None:
    bodies = {
        json.loads(line)["message_id"]: line for line in Path(messages).read_bytes().splitlines()
    }
    replies: dict[str, list[Any]] = {each: [] for each in bodies}
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    seconds: dict[str, float] = {}
    waiting, url, side = [*bodies], "", None
    sent, looked = 0, 0.0
    started = time.monotonic()
    while len(seconds) < len(bodies):
        now = time.monotonic()
        late: list[str] = []
        if now - looked > 1:  # seldom, because it takes the time of the consumer
            looked, named = now, Path(url_file).read_text()
            if named != url:  # another broker, which has lost everything
                url, side = named, connect(named, portfolio)
                last.clear()
            late = [
                each for each in waiting[:sent]
                if each not in seconds and now - last.get(each, 0.0) > AGAIN_SECONDS
            ]  # fmt: skip
        assert side is not None
        due = len(bodies) if rate == "0" else int((now - started) * float(rate)) + 1
        fresh = waiting[sent : min(due, sent + 100)]
        sent += len(fresh)
        for each in fresh:
            first[each] = now
        if (fresh or late) and side.send([bodies[each] for each in (*fresh, *late)]):
            last.update(dict.fromkeys((*fresh, *late), now))
        for reply in map(json.loads, side.read()):
            if reply["message_id"] not in replies:  # to an earlier sender
                continue
            replies[reply["message_id"]].append(reply)
            seconds.setdefault(reply["message_id"], time.monotonic() - first[reply["message_id"]])
    Path(out).write_text(json.dumps({"replies": replies, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
