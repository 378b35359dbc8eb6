"""The timetable of trainings: a time that passed while Airflow was off is not made up."""

import os
from datetime import datetime
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable
from pendulum import instance

from loan_scoring.local.missed_trainings import STARTED_AT


class ClockTimetable(CronTriggerTimetable):
    """Start a run at each time of a cron schedule from the start of Airflow on.

    Airflow makes up for the last time that passed while it was off, even with `catchup=False`. On a
    server that is wanted: the weekly training is not lost with an hour of maintenance. On a machine
    that is used now and then, a training would start by itself minutes after `make up`. So the
    stack of `make up` and `make run` sets STARTED_AT, and a server does not.
    """

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run. With STARTED_AT it is not before that time, unless it catches up."""
        given: dict[str, Any] = {"last_automated_data_interval": last_automated_data_interval}
        found = super().next_dagrun_info(restriction=restriction, **given)
        started = os.environ.get(STARTED_AT)
        if found is None or started is None or restriction.catchup:
            return found
        begin = self._align_to_next(instance(datetime.fromisoformat(started)))
        if found.run_after >= begin:
            return found
        return super().next_dagrun_info(
            restriction=TimeRestriction(begin, restriction.latest, catchup=False), **given
        )
