"""Every business date is taken exactly once, and a batch_id is judged by the calendar."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from loan_scoring import contract as contracts
from loan_scoring.contract import Contract
from loan_scoring.contract.business_dates import first_date, judge_date, next_date, run_time
from loan_scoring.errors import BatchError, ContractError

DAY = timedelta(days=1)
FIRST, LAST = date(2024, 1, 1), date(2032, 12, 31)
ZONES = [
    "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns",
    "America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Pacific/Auckland",
]  # fmt: skip
"""Zones that change at midnight, at 2 or at 3 o'clock, by an hour or by half an hour, or never."""
CRONS = [
    "0 2 * * *",  # left out by the change to summer time in some zones
    "30 2 * * 1-5",  # leaves out weekends
    "0 0 * * *",
    "59 23 * * *",
    "*/20 1-3 * * *",  # more than once a day, and at times that come twice
    "0 12 * * 6,0",
    "15 3 1 * *",  # once a month
    "0 6 29 2 *",  # every fourth year
]


def ticks(cron: str) -> list[datetime]:
    """Return the first tick of each local day, by walking from day to day on the local clock."""
    found, day = [], datetime.combine(FIRST, time.min)
    while day.year < 2037:
        found.append(croniter(cron, day - timedelta(seconds=1)).get_next(datetime))
        day = datetime.combine(found[-1].date() + DAY, time.min)
    return found


@pytest.mark.parametrize("cron", CRONS)
def test_every_date_of_2024_to_2032_is_taken_exactly_once(cron: str) -> None:
    local = ticks(cron)
    for zone in ZONES:
        last, taken = FIRST - DAY, []
        for naive in local:
            tick = naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
            # What the scheduler does at a tick: it starts all runs that are due, one after another.
            while (day := next_date(cron, zone, last, tick)) < naive.date():
                assert run_time(cron, zone, day) == tick
                taken.append(day)
                last = day
            assert run_time(cron, zone, day) > tick
            if last >= LAST:
                break
        assert taken == [FIRST + n * DAY for n in range(len(taken))]
        assert taken[-1] >= LAST


def test_a_tick_after_a_weekend_takes_the_files_of_friday_to_sunday() -> None:
    monday = datetime(2026, 2, 9, 2, 30, tzinfo=UTC)
    days = [date(2026, 2, day) for day in (6, 7, 8)]
    assert {run_time("30 2 * * 1-5", "UTC", day) for day in days} == {monday}
    assert run_time("30 2 * * 1-5", "UTC", date(2026, 2, 9)) == monday + DAY


def test_a_schedule_that_never_ran_begins_with_its_next_tick() -> None:
    saturday = datetime(2026, 2, 7, 12, tzinfo=UTC)
    assert first_date("30 2 * * 1-5", "UTC", saturday) == date(2026, 2, 6)
    assert first_date("0 2 * * *", "UTC", saturday) == date(2026, 2, 7)


def test_a_dag_file_that_is_read_just_after_the_first_tick_does_not_lose_its_date() -> None:
    tick = datetime(2026, 2, 7, 2, tzinfo=UTC)
    for seconds, first in ((-1, 6), (0, 6), (90, 6), (150, 7)):
        now = tick + timedelta(seconds=seconds)
        assert first_date("0 2 * * *", "UTC", now) == date(2026, 2, first)


def test_dates_of_a_week_without_airflow_are_taken_and_older_ones_are_not() -> None:
    now = datetime(2026, 2, 10, 3, tzinfo=UTC)
    last_tick_takes = date(2026, 2, 9)
    for last in (last_tick_takes - DAY, last_tick_takes - 8 * DAY):
        assert next_date("0 2 * * *", "UTC", last, now) == last + DAY
    assert next_date("0 2 * * *", "UTC", last_tick_takes - 9 * DAY, now) == last_tick_takes


NOW = datetime(2026, 2, 10, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("batch_id", "line"),
    [
        ("2026-02-30", "neither history nor a date of the calendar"),
        ("2026-06-31", "neither history nor"),
        ("2026-13-01", "neither history nor"),
        ("0000-01-01", "neither history nor"),
        ("20260210", "neither history nor"),
        ("2026-2-10", "neither history nor"),
        ("\u0662026-01-05", "neither history nor"),
        ("2026-02-10\n", "neither history nor"),
        ("", "neither history nor"),
        ("2026-02-11", "1 days after today, 2026-02-10 in UTC"),
        ("9999-12-31", "after today"),
    ],
)
def test_a_wrong_batch_id_is_refused_in_one_line(batch_id: str, line: str) -> None:
    with pytest.raises(BatchError, match=line) as told:
        judge_date(batch_id, "UTC", 0, NOW)
    assert "\n" not in str(told.value)


def test_today_is_the_day_in_the_time_zone_of_the_contract(loan_default: Contract) -> None:
    assert judge_date("2026-02-11", "Europe/Berlin", 0, NOW) == date(2026, 2, 11)
    with pytest.raises(BatchError, match="in America/New_York"):
        judge_date("2026-02-11", "America/New_York", 0, NOW)
    ahead = loan_default.ingest.model_copy(update={"max_days_ahead": 3})
    contract = loan_default.model_copy(update={"ingest": ahead})
    assert contracts.judge_batch_id(contract, "2026-02-13", NOW) == "2026-02-13"
    assert contracts.judge_batch_id(contract, "history", NOW) == "history"
    with pytest.raises(BatchError, match=r"raise ingest\.max_days_ahead \(3\)"):
        contracts.judge_batch_id(contract, "2026-02-14", NOW)


@pytest.mark.parametrize(
    ("schedules", "reason"),
    [
        ("timezone: Europe/Berln", "schedules.timezone: 'Europe/Berln' is not a time zone"),
        ("ingest: 0 25 * * *", "schedules.ingest: '0 25 [*] [*] [*]' is not a cron expression"),
        ("outcomes: 0 2 30 2 *", "schedules.outcomes: '0 2 30 2 [*]' is not a cron expression"),
        ("train: 0 0 2 * * *", "schedules.train: .* is not a cron expression"),
    ],
)
def test_a_schedule_that_cannot_run_is_refused(schedules: str, reason: str, folders, tmp_path):
    text = (folders / "portfolios" / "loan_default.yaml").read_text()
    path = tmp_path / "loan_default.yaml"
    path.write_text(f"{text}\nschedules:\n  {schedules}\n")
    with pytest.raises(ContractError, match=reason):
        contracts.read(path)
