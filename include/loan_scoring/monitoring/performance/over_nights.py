"""Add up the outcomes of the nights of each model, and find the nights that show `concept`."""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from loan_scoring import database
from loan_scoring.contract import PerformancePolicy
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.causes import CONCEPT
from loan_scoring.monitoring.alerts.grouping import outcome_cause
from loan_scoring.monitoring.alerts.store import record_causes
from loan_scoring.monitoring.drift.comparison import DriftTest
from loan_scoring.monitoring.drift.decide import TestVerdict
from loan_scoring.monitoring.drift_rows import write_drift
from loan_scoring.monitoring.performance.outcome_tests import (
    AUC_DROP,
    KINDS,
    SUBJECTS,
    NightOutcome,
    drifted_outcomes,
    level_of,
)
from loan_scoring.monitoring.performance.sequential import (
    SIDES,
    Accumulated,
    Increment,
    accumulate,
)

log = logging.getLogger(__name__)

OVER_NIGHTS = "_over_nights"
"""Ending of the names of the tests that accumulate over nights in table `drift`."""
LOCK = "outcome_sums"


@dataclass(frozen=True)
class OverNights:
    """The sum of a test after a night, and the figures of the nights since it was last 0.

    `observed` and `expected` are numbers of defaults, or mean AUCs by loans.
    """

    sum: float
    limit_of_sum: float
    nights: int
    loans_over_nights: int
    observed_over_nights: float
    expected_over_nights: float


COLUMNS = [*OverNights.__dataclass_fields__]


def over_nights(policy: PerformancePolicy, nights: Sequence[NightOutcome]) -> list[OverNights]:
    """Return the sum of one test after each night. Of two sides, the one nearer to its limit.

    Args:
        policy: performance policy with `nights_per_false_alarm`, which the SIDES share.
        nights: nights of one model and one test, in the order of time.
    """
    per_alarm = policy.nights_per_false_alarm * SIDES
    sides = (
        [
            accumulate([side for side in increments if side is not None], per_alarm)
            for increments in ([each.rise for each in nights], [each.fall for each in nights])
            if increments[0] is not None
        ]
        if nights
        else []
    )
    found = []
    for place, of_night in enumerate(zip(*sides, strict=True)):
        nearest: Accumulated = max(of_night, key=lambda each: each.value / each.limit)
        since = nights[place + 1 - nearest.nights : place + 1]
        loans = sum(each.loans for each in since)
        observed, expected = (
            sum(value * (each.loans / loans if each.test == AUC_DROP else 1) for value, each in of)
            for of in (
                [(each.observed, each) for each in since],
                [(each.expected, each) for each in since],
            )
        )
        found.append(
            OverNights(nearest.value, nearest.limit, nearest.nights, loans, observed, expected)
        )
    return found


def write_night(session: Session, run_id: str, night: Sequence[NightOutcome]) -> None:
    """Replace what a scoring run's outcomes say, in the caller's transaction.

    The sums over nights are left open, and `add_up_outcomes` fills them.
    """
    database.lock(session.connection, LOCK)
    _write(session, [(run_id, each, None) for each in night], [run_id])


def add_up_outcomes(session: Session) -> list[str]:
    """Add up the outcomes of the nights of each model again, and return the runs that changed.

    For a run whose sum changed, the tests over nights are written to table `drift`, and the cause
    `concept` is found anew. Everything is read from table `outcome_sums`, which has two rows a
    night, so that no loan is read again.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, LOCK)
        rows = database.rows(session.connection, "select_outcome_sums")
        changed: dict[str, None] = {}
        after: dict[tuple[str, str], OverNights] = {}
        for _, group in groupby(rows, lambda row: (row["propensity_version"], row["test"])):
            stream = list(group)
            sums = over_nights(session.contract.performance, [*map(_night, stream)])
            for row, each in zip(stream, sums, strict=True):
                after[row["scoring_run_id"], row["test"]] = each
                if tuple(row[name] for name in COLUMNS) != astuple(each):
                    changed[row["scoring_run_id"]] = None
        _write(
            session,
            [
                (run_id, _night(row), after[run_id, row["test"]])
                for row in rows
                if (run_id := row["scoring_run_id"]) in changed
            ],
            [*changed],
        )
        for run_id in changed:
            _judge(session, run_id)
    return [*changed]


def _judge(session: Session, run_id: str) -> None:
    """Write the tests over nights of a run, and the cause `concept` if its tests show it."""
    sums = database.rows(session.connection, "select_sums_of_run", scoring_run_id=run_id)
    verdicts = [
        TestVerdict(row["feature"], _test(row), row["p_adjusted"], row["level"])
        for row in database.rows(session.connection, "select_drift_of_run", scoring_run_id=run_id)
        if row["kind"] in KINDS.values() and not row["test"].endswith(OVER_NIGHTS)
    ]
    verdicts += [_verdict(session.contract.performance, row) for row in sums]
    write_drift(session, run_id, [*KINDS.values()], KINDS, verdicts)
    levels = {(each.feature, each.test.name): each.level for each in verdicts}
    causes = outcome_cause(session.contract, drifted_outcomes(levels), facts_of(sums))
    record_causes(session, run_id, (CONCEPT,), causes)
    for each in causes:
        log.warning("%s: %s", run_id, each.message)


def facts_of(sums: Sequence[database.Row]) -> dict[str, Any]:
    """Return the figures of a run's outcomes for the message of an alert, by name of the test.

    Args:
        sums: rows of query `select_sums_of_run`.
    """
    return {
        row["test"]: {name: value for name, value in row.items() if name != "test"} for row in sums
    }


def _verdict(policy: PerformancePolicy, row: database.Row) -> TestVerdict:
    """Return the verdict on the sum of a test after a night.

    The level is `drifted` if the difference over the nights is at least `drifted_from` floors.
    """
    unit = 1 if row["test"] == AUC_DROP else max(row["loans_over_nights"], 1)
    difference = abs(row["observed_over_nights"] - row["expected_over_nights"]) / unit
    total, limit = row["sum"], row["limit_of_sum"]
    test = DriftTest(row["test"] + OVER_NIGHTS, total, total, limit)
    level = level_of(policy, difference, row["floor"], total >= limit)
    return TestVerdict(SUBJECTS[row["test"]], test, None, level)


def _test(row: database.Row) -> DriftTest:
    return DriftTest(row["test"], row["statistic"], row["effect"], row["threshold"], row["p_value"])


def _night(row: database.Row) -> NightOutcome:
    rise = None if row["rise"] is None else Increment(row["rise"], row["rise_variance"])
    return NightOutcome(
        row["test"],
        row["loans"],
        row["observed"],
        row["expected"],
        row["error"],
        row["floor"],
        rise,
        Increment(row["fall"], row["fall_variance"]),
    )


def _write(
    session: Session,
    found: Sequence[tuple[str, NightOutcome, OverNights | None]],
    replaced: Sequence[str],
) -> None:
    database.execute(session.connection, "delete_outcome_sums", scoring_run_ids=list(replaced))
    if not found:
        return
    rows = pa.Table.from_pylist(
        [
            {
                "scoring_run_id": run_id,
                **{
                    name: getattr(night, name)
                    for name in ("test", "loans", "observed", "expected", "error", "floor")
                },
                "rise": night.rise.value if night.rise else None,
                "rise_variance": night.rise.variance if night.rise else None,
                "fall": night.fall.value,
                "fall_variance": night.fall.variance,
                **{name: getattr(sums, name) if sums else None for name in COLUMNS},
            }
            for run_id, night, sums in found
        ]
    )
    database.copy_in(session.connection, "outcome_sums", rows.column_names, rows)
