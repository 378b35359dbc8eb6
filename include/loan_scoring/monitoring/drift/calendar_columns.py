"""Compare a calendar column, such as the year of application, with the business date of a batch."""

from datetime import date
from typing import Any

import numpy as np

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import DriftTest
from loan_scoring.monitoring.drift.exact_tests import fisher
from loan_scoring.statistics.distribution import Distribution

MOST_NAMED = 3
"""Maximum number of values out of time that facts name."""


def current_values(calendar: str, day: date) -> list[int]:
    """Return the values that a calendar column has on a day: the present one and the one before.

    >>> current_values("year", date(2020, 1, 1)), current_values("month", date(2020, 1, 1))
    ([2020, 2019], [1, 12])
    """
    if calendar == "year":
        return [day.year, day.year - 1]
    return [day.month, (day.month - 2) % 12 + 1]


def compare_calendar(
    policy: MonitoringPolicy,
    calendar: str,
    baseline: Distribution,
    batch: Distribution,
    day: date | None,
) -> tuple[list[DriftTest], np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the drift tests of a calendar column, the counts per cell, and facts for alerts.

    A value is out of time if it is neither current on the batch's business date nor a value that
    training had. So the turn of the year is no alert. Values that training had are never out of
    time, because files of past loans are replayed under later dates. A column that stays at a year
    of the training is therefore not found.

    The cells are the values in time and out of time. By definition the baseline has no value out of
    time, so the test is Fisher's exact test with an empty cell.

    Args:
        policy: monitoring policy. `unseen_floor` is the floor.
        calendar: `year` or `month`.
        baseline, batch: the column's values.
        day: business date of the batch. None for `history`, whose rows have no date: no test.
    """
    out = np.zeros(len(batch.values), bool)
    if day is not None:
        known = np.union1d(baseline.values, current_values(calendar, day))
        out = ~np.isin(batch.values, known)
    counts = np.diff(batch.up_to)[out]
    cells = np.array([baseline.size, 0]), np.array([batch.size - counts.sum(), counts.sum()])
    if day is None or not batch.size:
        return [], *cells, {}
    wrong = int(counts.sum())
    share = wrong / batch.size
    p_value = fisher(wrong, batch.size, 0, baseline.size) if wrong else None
    named = batch.values[out][np.argsort(-counts, kind="stable")[:MOST_NAMED]]
    facts = {
        "out_of_time": share,
        "values_out_of_time": [f"{value:g}" for value in named.tolist()],
        "median": batch.median,
    }
    return [DriftTest("calendar", share, share, policy.unseen_floor, p_value)], *cells, facts
