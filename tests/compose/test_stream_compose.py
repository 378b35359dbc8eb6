"""The profile `stream` for real: consumer, Redis and Postgres are killed; each loan once."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from test_compose import Stack, docker_says, healthy, until

from loan_scoring import database, settings
from loan_scoring.database.session import Session, open_session
from loan_scoring.ingest.batches import ingest_batch
from loan_scoring.lab.replay import Replay
from loan_scoring.models.promotion.decide import promote_by_hand
from loan_scoring.models.training.run import train
from loan_scoring.scoring.batch import score_batch
from loan_scoring.scoring.stream.day import finish_day

pytestmark = pytest.mark.compose

NIGHT = "2026-01-05"
LANDING = "/opt/loan-scoring/data/landing"
SEND = ["loan-scoring", "stream", "send", "--source", f"{LANDING}/loan_default/{NIGHT}.csv"]
TAKEN = "select count(*) from stream_messages"
SCORES = """
    select loan_id, encode(float8send(default_probability), 'hex'), decision, persona
    from current_scores where batch_id = %s order by loan_id
"""


class StreamStack(Stack):
    """The project's stack with the profile `stream`, on the models of the host."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, settings.data_dir() / "landing", settings.portfolios_dir())
        with self.env.open("a") as file:
            file.write(f"LOAN_SCORING_ARTIFACTS={settings.data_dir() / 'artifacts'}\n")
            file.write(f"AIRFLOW_UID={os.getuid()}\n")
        # The landing folder only, so that the service can send the rows of a file, too.
        mount = {"volumes": [f"{settings.data_dir() / 'landing'}:{LANDING}:ro"]}
        override = folder / "stream.yaml"
        override.write_text(yaml.safe_dump({"services": {"stream": mount}}))
        self._compose += [f"--file={override}", "--profile=stream"]

    def service(self, name: str) -> str:
        (container,) = self.containers(name).values()
        return container


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StreamStack]:
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)  # noqa: S607
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers")
    made = StreamStack(tmp_path)
    try:
        made.compose("build", "init")
        made.compose("up", "--detach", "--wait", "--wait-timeout=600", "postgres", "redis", "init")
        yield made
    finally:
        (tmp_path / "logs.txt").write_text(made.compose("logs", "--no-color"))
        made.compose("down", "--volumes", "--timeout=5")
        subprocess.run(["docker", "image", "rm", f"{made.name}:test"], check=False)  # noqa: S607


def rows(session: Session, batch_id: str) -> list[tuple]:
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(SCORES, [batch_id])
        return list(cursor.fetchall())


def test_killed_containers_lose_and_double_nothing(stack: StreamStack, drops: Replay) -> None:
    with open_session("loan_default", stack.url()) as session:
        ingest_batch(session, "history", drops.application_files["history"])
        versions, _ = train(session)
        promote_by_hand(session, versions["propensity"], "cli:tests", "a small sample")
    with open_session("loan_default", stack.copy("by_night")) as session:
        ingest_batch(session, NIGHT, drops.application_files[NIGHT])
        score_batch(session, NIGHT)
        expected = rows(session, NIGHT)
    stack.compose("up", "--detach", "--wait", "--wait-timeout=300", "stream")
    consumer = stack.service("stream")

    def send() -> None:
        docker_says("exec", consumer, *SEND)

    def restart(service: str, part: int) -> None:
        until(f"{part} are taken", lambda: stack.ask(TAKEN)[0][0] >= part)
        docker_says("kill", "--signal=KILL", stack.service(service))
        docker_says("start", stack.service(service))
        until(f"{service} is healthy", lambda: healthy(stack.service(service)))

    slowly = [*SEND, "--rate", "50"]
    sender = subprocess.Popen(["docker", "exec", consumer, *slowly])  # noqa: S607
    restart("postgres", 100)
    assert sender.wait(300) == 0  # the broker holds messages while Postgres is away
    until("all are taken", lambda: stack.ask(TAKEN) == [(len(expected),)])
    restart("stream", 0)
    send()  # again: what is written is answered, not written again
    restart("redis", 0)
    send()
    replies = ["sh", "-c", "redis-cli -n 1 xlen loan_default.replies"]
    until("each was answered again", lambda: int(
        docker_says("exec", stack.service("redis"), *replies)) >= 2 * len(expected))  # fmt: skip
    ((today,),) = stack.ask("select batch_id from batches where kind = 'stream'")
    with open_session("loan_default", stack.url()) as session:
        sealed = finish_day(session, today, accepted_because="a test")
        assert (sealed.received, sealed.accepted) == (len(expected), len(expected))
        assert rows(session, today) == expected
    docker_says("stop", stack.service("stream"))  # SIGTERM drains
    state = docker_says("inspect", "--format={{.State.ExitCode}}", stack.service("stream"))
    assert state == "0"
