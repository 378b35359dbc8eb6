"""The timetable of trainings: what passed while Airflow was off is not made up on one's machine."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from pendulum import instance

from loan_scoring.local.missed_trainings import STARTED_AT, forget_missed_trainings
from loan_scoring_clock import ClockTimetable

pytestmark = [
    pytest.mark.dags,
    pytest.mark.integration,
    # Airflow's own code raises deprecation warnings.
    pytest.mark.filterwarnings("default"),
]

WEEKLY = ClockTimetable("0 6 * * 0", timezone="UTC", run_immediately=timedelta(0))
FREE = TimeRestriction(earliest=None, latest=None, catchup=False)
NOW = datetime.now(UTC)


def following(last: datetime | None) -> datetime:
    interval = None if last is None else DataInterval.exact(instance(last))
    found = WEEKLY.next_dagrun_info(last_automated_data_interval=interval, restriction=FREE)
    assert found is not None
    return found.run_after


def test_a_time_before_the_start_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    three_weeks_ago = NOW - timedelta(days=21)
    assert following(three_weeks_ago) <= NOW, "Airflow itself makes up for the last one"
    monkeypatch.setenv(STARTED_AT, NOW.isoformat())
    assert following(three_weeks_ago) > NOW
    assert following(None) > NOW


def test_a_time_since_the_start_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STARTED_AT, (NOW - timedelta(days=8)).isoformat())
    taken = following(NOW - timedelta(days=21))
    assert NOW - timedelta(days=8) < taken <= NOW
    assert following(taken) > NOW


def test_airflow_reads_the_stored_timetable_again(bag: Any) -> None:
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    stored = encode_timetable(bag.dags["loan_default_train"].timetable)
    again = decode_timetable(stored)
    assert isinstance(again.timetable, ClockTimetable)
    assert again.timetable.serialize() == WEEKLY.serialize()


def test_only_a_missed_training_is_forgotten(new_database: Any) -> None:
    url = new_database()
    columns = "next_dagrun, next_dagrun_create_after, next_dagrun_data_interval_start"
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE public.dag (dag_id text, {columns.replace(',', ' timestamptz,')}"
            " timestamptz, next_dagrun_data_interval_end timestamptz)"
        )
        for name, at in (("a_train", -1), ("b_train", 1), ("a_ingest", -1)):
            moment = NOW + timedelta(hours=at)
            cursor.execute(
                "INSERT INTO public.dag VALUES (%s, %s, %s, %s, %s)", (name, *[moment] * 4)
            )
    assert forget_missed_trainings(url) == 1
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT dag_id FROM public.dag WHERE next_dagrun_create_after IS NULL")
        assert cursor.fetchall() == [("a_train",)]
