"""The timetable of nightly DAGs, as Airflow's scheduler, backfill and API use it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, TimeRestriction

import loan_scoring_nightly
from loan_scoring.contract import names
from loan_scoring_nightly import NightlyTimetable

pytestmark = [
    pytest.mark.dags,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

WEEKDAYS = NightlyTimetable("30 2 * * 1-5", timezone="Europe/Berlin")
FREE = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the timetable's clock."""

    def to(*moment: int) -> None:
        monkeypatch.setattr(loan_scoring_nightly, "_now", lambda: datetime(*moment, tzinfo=UTC))

    return to


def following(info: DagRunInfo | None, restriction: TimeRestriction = FREE) -> DagRunInfo:
    found = WEEKDAYS.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)
    assert found is not None
    return found


def test_one_tick_starts_a_run_for_each_day_of_the_weekend(at: Any) -> None:
    at(2026, 3, 26, 12)  # a Thursday; summer time begins on Sunday
    info, taken = following(None), []
    for _ in range(6):
        at(*info.run_after.timetuple()[:6])
        taken.append((info.partition_key, info.run_after.isoformat()))
        info = following(info)
    assert taken == [
        ("2026-03-26", "2026-03-27T01:30:00+00:00"),
        ("2026-03-27", "2026-03-30T00:30:00+00:00"),
        ("2026-03-28", "2026-03-30T00:30:00+00:00"),
        ("2026-03-29", "2026-03-30T00:30:00+00:00"),
        ("2026-03-30", "2026-03-31T00:30:00+00:00"),
        ("2026-03-31", "2026-04-01T00:30:00+00:00"),
    ]


def test_it_obeys_the_start_and_the_end_of_a_dag(at: Any) -> None:
    at(2026, 3, 26, 12)
    early = datetime(2026, 3, 30, tzinfo=UTC)
    found = following(None, TimeRestriction(earliest=early, latest=None, catchup=False))
    assert found.partition_key == "2026-03-27"
    ended = TimeRestriction(earliest=None, latest=datetime(2026, 3, 26, tzinfo=UTC), catchup=False)
    assert WEEKDAYS.next_dagrun_info_v2(last_dagrun_info=None, restriction=ended) is None


def test_a_backfill_takes_each_date_whose_noon_it_contains() -> None:
    midnight = datetime(2026, 1, 5, tzinfo=UTC)
    infos = WEEKDAYS.iter_partition_dagrun_infos(
        earliest=midnight, latest=midnight + timedelta(days=3)
    )
    assert [info.partition_key for info in infos] == ["2026-01-05", "2026-01-06", "2026-01-07"]
    to_come = datetime.now(UTC) + timedelta(days=2)
    assert not [*WEEKDAYS.iter_partition_dagrun_infos(earliest=to_come, latest=to_come)]


def test_a_key_is_judged_when_a_run_is_triggered() -> None:
    found = WEEKDAYS.resolve_partition_date("2026-03-29")
    assert found is not None
    assert found.date() == date(2026, 3, 29)
    for key in ("2026-02-30", "9999-12-31", "history", "20260105"):
        with pytest.raises(InvalidPartitionKeyError):
            WEEKDAYS.resolve_partition_date(key)


@pytest.mark.parametrize("stage", ["ingest", "outcomes"])
def test_the_stored_dag_has_the_same_timetable(bag: Any, stage: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for portfolio in names():
        dag = bag.dags[f"{portfolio}_{stage}"]
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
        assert isinstance(stored, NightlyTimetable)
        assert stored.serialize() == dag.timetable.serialize()
        assert stored.partitioned
