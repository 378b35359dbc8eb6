"""A stream whose consumers and brokers are killed gives the scores of a night, each loan once."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from stand import MARKS, Consumers, Kafka, Redis, name_broker, sending, taken

from loan_scoring import database
from loan_scoring.contract import Contract
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.stream.day import finish_day
from loan_scoring.scoring.stream.sending import file_messages

KILLS = int(os.environ.get("LOAN_SCORING_KILLS", "20"))
RESTARTS = 3
SECONDS = float(os.environ.get("LOAN_SCORING_STREAM_SECONDS", "1800"))
"""Most seconds that a stream may take."""

pytestmark = MARKS


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
        host = Consumers(tmp_path / "consumers.log", url)
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
                name_broker(named, broker.url)
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
        of_night = f"current_scores where batch_id = '{batch_id}'"
        assert scores(night, of_night) == streamed
    assert len({row[0] for row in streamed}) == len(streamed) == len(messages)
    # However often a message was answered, the answer was the same.
    assert all(replies and all(each == replies[0] for each in replies) for replies in told.values())
