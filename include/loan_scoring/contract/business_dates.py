"""Judge a batch_id, and say which business dates each tick of a cron schedule takes.

The file of a business date is complete when that day has ended in the portfolio's time zone. So a
date is taken by the first tick on a later local day (docs/adr/0028). All functions count local
calendar days, and none subtracts hours, because a day may have 23 or 25 hours.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from loan_scoring.errors import BatchError

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

HISTORY = "history"
"""The batch_id of the portfolio's past applications, whose outcomes are known."""
CATCH_UP_DAYS = 7
"""Dates that a standstill of Airflow left out are taken if they are at most this old."""
START_GRACE = timedelta(minutes=2)
"""How long after its first tick a schedule that never ran may still start."""

ONE_DAY = timedelta(days=1)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def read_date(text: str) -> date | None:
    """Return the date that a text in the format YYYY-MM-DD names, or None if it names no date.

    >>> read_date("2026-02-28"), read_date("2026-02-30"), read_date("20260228")
    (datetime.date(2026, 2, 28), None, None)
    """
    # The pattern is needed because fromisoformat also accepts 20260105 and non-ASCII digits.
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def judge_batch_id(contract: "Contract", batch_id: str, now: datetime | None = None) -> str:
    """Return the batch_id unchanged if it is `history`, or a business date that may be ingested.

    Every entrance calls this function or `judge_date`: commands, DAG params and partition keys.

    Raises:
        BatchError: the batch_id is no date of the calendar, or a date that is still to come.
    """
    if batch_id != HISTORY:
        judge_date(batch_id, contract.schedules.timezone, contract.ingest.max_days_ahead, now)
    return batch_id


def judge_date(
    batch_id: str, timezone: str, max_days_ahead: int, now: datetime | None = None
) -> date:
    """Return the business date that a batch_id names.

    Args:
        batch_id: text to judge.
        timezone: time zone of the portfolio, which decides what day is today.
        max_days_ahead: number of days after today that a business date may lie.
        now: time with a time zone. If None, the current time.

    Raises:
        BatchError: the text is no date of the calendar, or the date is too far ahead.
    """
    day = read_date(batch_id)
    if day is None:
        raise BatchError(f"{batch_id[:40]!r} is neither history nor a date of the calendar; "
                         "write a business date as YYYY-MM-DD")  # fmt: skip
    today = local_time(timezone, now).date()
    if (day - today).days > max_days_ahead:
        raise BatchError(
            f"batch {batch_id} is {(day - today).days} days after today, {today} in {timezone}; "
            f"correct the date, or raise ingest.max_days_ahead ({max_days_ahead}) in the contract"
        )
    return day


def local_time(timezone: str, now: datetime | None = None) -> datetime:
    """Return a time, by default the current time, in a time zone."""
    return (now or datetime.now(UTC)).astimezone(ZoneInfo(timezone))


def run_time(cron: str, timezone: str, day: date) -> datetime:
    """Return when the file of a business date is taken: the first tick after the end of that day.

    A tick at a time that the change to summer time leaves out is moved forward by the change.

    >>> str(run_time("30 2 * * *", "Europe/Berlin", date(2026, 3, 28)))
    '2026-03-29 01:30:00+00:00'
    """
    midnight = datetime.combine(day + ONE_DAY, time.min)
    return _instant(_after(cron, midnight - timedelta(seconds=1)), timezone)


def deadline_after(contract: "Contract", start: datetime) -> datetime:
    """Return until when a run that was due at `start` waits for its file.

    This is the first local time `ingest.deadline` from `start` on, or `start` without a deadline.
    """
    if contract.ingest.deadline is None:
        return start
    timezone = contract.schedules.timezone
    at = time.fromisoformat(contract.ingest.deadline)
    day = local_time(timezone, start).date()
    found = _instant(datetime.combine(day, at), timezone)
    return found if found >= start else _instant(datetime.combine(day + ONE_DAY, at), timezone)


def is_expected(contract: "Contract", day: date) -> bool:
    """Return whether a file of applications is expected for a business date.

    None is expected where applications arrive by a stream.
    """
    if contract.schedules.stream is not None:
        return False
    return WEEKDAYS[day.weekday()] in contract.ingest.expected_on


def first_date(cron: str, timezone: str, now: datetime) -> date:
    """Return the first date whose file a schedule takes that has never run before `now`.

    A tick of the last START_GRACE counts as one to come. Airflow asks for the first date whenever
    it reads the DAG file, and it may do so between the tick and the start of the run.
    """
    return _last_tick(cron, timezone, now - START_GRACE).date()


def next_date(cron: str, timezone: str, last: date, now: datetime) -> date:
    """Return the date whose file a schedule takes after the date `last`.

    This is the next day, unless the schedule stood still and that day is more than CATCH_UP_DAYS
    older than the dates of the last tick. Then the first of these dates is returned.
    """
    tick = _last_tick(cron, timezone, now)
    before = _before(cron, datetime.combine(tick.date(), time.min))
    following: date = last + ONE_DAY
    return following if following >= before.date() - CATCH_UP_DAYS * ONE_DAY else before.date()


def due_dates(cron: str, timezone: str, since: date, now: datetime) -> Iterator[date]:
    """Return an iterator over the dates from `since` on whose run time is not after `now`."""
    day = since
    while run_time(cron, timezone, day) <= now:
        yield day
        day += ONE_DAY


def _last_tick(cron: str, timezone: str, now: datetime) -> datetime:
    """Return the local time of the last tick that is not after `now`."""
    tick = _before(cron, local_time(timezone, now).replace(tzinfo=None) + timedelta(seconds=1))
    while _instant(tick, timezone) > now:  # only within the hour of a change of the clock
        tick = _before(cron, tick)
    return tick


def _after(cron: str, moment: datetime) -> datetime:
    return _step(cron, moment, "get_next")


def _before(cron: str, moment: datetime) -> datetime:
    return _step(cron, moment, "get_prev")


@lru_cache(maxsize=1 << 14)
def _step(cron: str, moment: datetime, direction: str) -> datetime:
    from croniter import croniter  # imported here because most commands need no schedule

    found: datetime = getattr(croniter(cron, moment), direction)(datetime)
    return found


def _instant(tick: datetime, timezone: str) -> datetime:
    return tick.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
