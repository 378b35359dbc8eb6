"""The timetable of nightly DAGs: one run for each business date, whatever the cron schedule."""

import datetime
from collections.abc import Iterator
from typing import Any

from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable
from pendulum import DateTime, instance

from loan_scoring.contract.business_dates import (
    HISTORY,
    ONE_DAY,
    first_date,
    judge_date,
    local_time,
    next_date,
    read_date,
    run_time,
)
from loan_scoring.errors import BatchError

KEY_FORMAT = "%Y-%m-%d"


class NightlyTimetable(CronPartitionTimetable):
    """Start one run for each business date. The partition key of a run is its date.

    A date is taken by the first tick of the cron schedule on a later local day. A tick after days
    without a tick takes several dates, each in a run of its own (docs/adr/0028).

    Args:
        cron: when files are taken.
        timezone: time zone of the ticks and of the business dates.
        max_days_ahead: number of days after today that a partition key may lie.
    """

    def __init__(self, cron: str, *, timezone: Any, max_days_ahead: int = 0) -> None:
        super().__init__(cron, timezone=timezone, key_format=KEY_FORMAT)
        self._max_days_ahead = max_days_ahead

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "NightlyTimetable":
        """Return the timetable that `serialize` described."""
        return cls(
            data["expression"], timezone=data["timezone"], max_days_ahead=data["max_days_ahead"]
        )

    def serialize(self) -> dict[str, Any]:
        """Return the arguments of the timetable as values that JSON can hold."""
        return {
            "expression": self._expression,
            "timezone": self._zone,
            "max_days_ahead": self._max_days_ahead,
        }

    @property
    def _zone(self) -> str:
        return str(self._timezone.name)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the run of the date after the last one. See `business_dates.next_date`."""
        now = _now()
        key = last_dagrun_info and last_dagrun_info.partition_key
        last = read_date(key) if key else None
        if last is None:
            day = first_date(self._expression, self._zone, now)
        elif restriction.catchup:
            day = last + ONE_DAY
        else:
            day = next_date(self._expression, self._zone, last, now)
        run_after = self._run_after(day)
        while restriction.earliest is not None and run_after < restriction.earliest:
            day += ONE_DAY
            run_after = self._run_after(day)
        if restriction.latest is not None and restriction.latest < run_after:
            return None
        return self._info(day, run_after)

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterator[DagRunInfo]:
        """Yield a run for each date of a backfill whose noon is between both times.

        A date that is still to come is left out.
        """
        day = local_time(self._zone, self.localize_partition_datetime(earliest)).date()
        until = self.localize_partition_datetime(latest)
        last = local_time(self._zone).date() + self._max_days_ahead * ONE_DAY
        while day <= last and self._noon(day) <= until:
            if self._noon(day) >= self.localize_partition_datetime(earliest):
                yield self._info(day, self._noon(day))
            day += ONE_DAY

    def _info(self, day: datetime.date, run_after: DateTime) -> DagRunInfo:
        return DagRunInfo(
            run_after=run_after,
            data_interval=None,
            partition_date=self._noon(day),
            partition_key=day.isoformat(),
        )

    def _run_after(self, day: datetime.date) -> DateTime:
        return instance(run_time(self._expression, self._zone, day))

    def _noon(self, day: datetime.date) -> DateTime:
        """Return the time that stands for a date. In every zone each day has exactly one noon."""
        noon = datetime.datetime.combine(day, datetime.time(12), datetime.UTC)
        return self.localize_partition_datetime(noon)

    def _decode_partition_date(self, partition_key: str) -> datetime.datetime:
        """Return the noon of a key's date. Airflow refuses a run with a key for which this fails.

        Raises:
            InvalidPartitionKeyError: the key is no business date that may be ingested.
        """
        if partition_key == HISTORY:
            raise InvalidPartitionKeyError("the history is no night: set the param batch_id to it")
        try:
            day = judge_date(partition_key, self._zone, self._max_days_ahead)
        except BatchError as error:
            raise InvalidPartitionKeyError(str(error)) from error
        return self._noon(day)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
