"""Measure the time from push to reply, as docs/measurements.md shows it."""

import json
from pathlib import Path

import numpy as np
import pytest
from stand import MARKS, Consumers, Kafka, Redis, sending, taken

from loan_scoring.contract import Contract
from loan_scoring.scoring.stream.messages import make_message
from loan_scoring.scoring.stream.sending import file_messages

pytestmark = MARKS

SECONDS = 10
WARM = 50
"""The first replies, which wait for the consumer's start, are left out."""
P95_SECONDS = 3.0
"""Limit on a busy machine: ten times the aim at 50 messages a second on an idle one."""


@pytest.mark.parametrize("kind", [Redis, Kafka])
@pytest.mark.parametrize("rate", [50, 500])
def test_an_answer_comes_within_the_promise(
    kind: type[Redis | Kafka],
    rate: int,
    url: str,
    loan_default: Contract,
    night_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    loans = [json.loads(each)["application"] for each in file_messages(loan_default, night_file)]
    bodies = [make_message(f"m-{place}", each) for place, each in enumerate(loans)]
    broker, host = kind(tmp_path), Consumers(tmp_path / "consumers.log", url)
    try:
        for part, speed in ((bodies[:WARM], 0), (bodies[WARM : WARM + rate * SECONDS], rate)):
            with sending(broker, part, speed, tmp_path) as (sender, _, out):
                if speed == 0:
                    host.start("--database", url, "--broker", broker.url, "--consumer", "one")
                assert sender.wait(300) == 0
    finally:
        host.stop()
        broker.stop()
    told = json.loads(out.read_text())
    seconds = np.array([*told["seconds"].values()])
    assert taken(url) == WARM + len(seconds)
    p50, p95, p99 = (1000 * np.percentile(seconds, share) for share in (50, 95, 99))
    with capsys.disabled():
        print(f"\n{kind.__name__}, {rate}/s, {len(seconds):,} loans: p50 {p50:.0f} ms, "  # noqa: T201
              f"p95 {p95:.0f} ms, p99 {p99:.0f} ms")  # fmt: skip
    assert p95 < 1000 * P95_SECONDS
