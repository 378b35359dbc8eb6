"""A shock raises its alert while the day of the stream is open, and again when it is sealed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.lab.replay import Replay
from loan_scoring.monitoring.metrics import compare_batch
from loan_scoring.monitoring.open_day import FEWEST, watch_open_day
from loan_scoring.scoring.stream.day import finish_day
from loan_scoring.scoring.stream.intake import take_messages
from loan_scoring.scoring.stream.messages import read_message
from loan_scoring.scoring.stream.sending import file_messages

pytestmark = pytest.mark.integration

CALM, SHOCKED = "2026-01-05", "2026-01-08"


@pytest.fixture
def stream(ready: Session, drops: Replay) -> Callable[[str, int, int], datetime]:
    """Send a part of a night's loans at noon of its date. Return that time."""

    def send(day: str, first: int, last: int) -> datetime:
        noon = datetime.fromisoformat(f"{day}T12:00:00+00:00").astimezone(UTC)
        bodies = file_messages(ready.contract, drops.application_files[day])[first:last]
        take_messages(ready, [read_message(each) for each in bodies], noon)
        return noon

    return send


def alerts(session: Session) -> list[tuple[str, str, str]]:
    rows = database.select_read_only(
        session.connection,
        "select kind, batch_id, state from alerts where kind <> 'quality' order by alert_id",
    )[1]
    return [(kind, batch_id, state) for kind, batch_id, state in rows]


def test_a_shock_is_seen_within_the_day(
    ready: Session, stream: Callable[[str, int, int], datetime]
) -> None:
    noon = stream(SHOCKED, 0, FEWEST - 1)
    assert watch_open_day(ready, noon).causes == []  # too few to say
    stream(SHOCKED, FEWEST - 1, 1000)
    seen = watch_open_day(ready, noon)
    assert (seen.batch_id, seen.applications) == (SHOCKED, 1000)
    assert seen.causes
    assert "income" in seen.causes[0].message.lower()
    assert alerts(ready) == [("open_day", SHOCKED, "open")]
    watch_open_day(ready, noon)
    assert len(alerts(ready)) == 1

    finish_day(ready, SHOCKED, accepted_because="the shock is the test's")
    assert compare_batch(ready, SHOCKED)["alerts"] > 0
    watch_open_day(ready, noon)
    assert alerts(ready)[0] == ("open_day", SHOCKED, "resolved")
    assert ("population", SHOCKED, "open") in alerts(ready)


def test_a_calm_day_raises_nothing_and_a_day_without_a_stream_is_none(
    ready: Session, stream: Callable[[str, int, int], datetime]
) -> None:
    noon = stream(CALM, 0, 1000)
    assert watch_open_day(ready, noon).causes == []
    assert watch_open_day(ready, noon + timedelta(days=1)).batch_id is None
    assert alerts(ready) == []
