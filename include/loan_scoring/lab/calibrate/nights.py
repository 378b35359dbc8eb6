"""Measure alerts on applicants over weeks of nights that differ, and repeat with the week.

Nothing drifts in the scenarios of `VARYING`: every alert is false. What is usual is learnt from the
nights before, as in production. After the weeks, shifts are applied that must still be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.intake import quality_alerts
from loan_scoring.lab.calibrate.mixes import (
    WEEKEND_FACTOR,
    MixColumns,
    choose_columns,
    column_scores,
    draw_rows,
    level_weights,
)
from loan_scoring.lab.calibrate.pool import LoanPool
from loan_scoring.lab.calibrate.rounds import fit_pool_baseline
from loan_scoring.monitoring.drift.compare import FittedBaseline, compare_columns
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import decide_drift
from loan_scoring.monitoring.drift.joint import ALL
from loan_scoring.monitoring.drift.profiles import NightProfile
from loan_scoring.monitoring.drift.usual_joint import JointNight, usual_joint
from loan_scoring.monitoring.drift.usual_nights import usual_nights, varying
from loan_scoring.monitoring.usual import NOTHING, UsualBatch, settled

FIRST = date(2026, 1, 5)
"""Date of the first night, a Monday."""
WEEKS = 8
FROM_WEEK = 4
"""Alerts count from this week on, because then enough nights are known."""
MIX = 0.1
"""Standard deviation of the nights' mean, in standard deviations of the column."""
BASELINE_SHARE = 0.6
CREEP = 1.01
MOST_CREEPING = 40
RARE_SHARE = 0.1
SHUFFLED, WEEKEND, MIXED, BOTH = "shuffled", "weekend", "night mix", "weekend and night mix"
VARYING = (SHUFFLED, WEEKEND, MIXED, BOTH)
CREEPING = {"creep after training": SHUFFLED, "creep after 8 weeks": SHUFFLED,
            "creep after 8 weeks of both": BOTH}  # fmt: skip
RARE = "rare level"


@dataclass
class Nights:
    """Nights of one portfolio: a fixed baseline, a source of loans, and the profiles so far."""

    contract: Contract
    pool: LoanPool
    size: int
    dice: np.random.Generator
    fitted: FittedBaseline = field(init=False)
    columns: MixColumns = field(init=False)
    profiles: dict[str, list[NightProfile]] = field(default_factory=dict)
    joint: list[JointNight] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Split the pool into the baseline and the loans of the nights."""
        order = self.dice.permutation(self.pool.table.num_rows)
        cut = int(len(order) * BASELINE_SHARE)
        baseline = self.pool.table.take(pa.array(np.sort(order[:cut])))
        self.fitted = fit_pool_baseline(self.contract, baseline, self.dice)
        self.columns = choose_columns(self.contract, self.pool.table)
        self.rows = order[cut:]
        self.number = column_scores(self.pool, self.columns.number)[self.rows]
        category = self.columns.category, self.columns.level, WEEKEND_FACTOR
        self.weekend = level_weights(self.pool, *category)[self.rows]

    def draw(self, kind: str, day: date) -> pa.Table:
        """Draw the loans of a night under a scenario of VARYING."""
        weights = np.ones(len(self.rows))
        if kind in (WEEKEND, BOTH) and day.weekday() >= 5:
            weights = weights * self.weekend
        if kind in (MIXED, BOTH):
            weights = weights * np.exp(self.dice.normal(0, MIX) * self.number)
        drawn = draw_rows(weights, len(self.rows), self.size, self.dice)
        return self.pool.table.take(pa.array(np.sort(self.rows[drawn])))

    def alerts(self, loans: pa.Table, day: date, *, is_kept: bool = True) -> list[str]:
        """Return the alerts on a night, and keep its figures for later nights."""
        comparisons = self._compare(loans, day)
        if is_kept:
            self._keep(comparisons, day)
        _, findings = decide_drift(self.contract.monitoring, comparisons)
        findings = settled(findings, self.fitted.inputs)
        found = [f"{f.comparison.feature}: {', '.join(f.failed_tests)}" for f in findings]
        return found + [f"{name}: {way}" for name, way in quality_alerts(self.contract, loans)]

    def _compare(self, loans: pa.Table, day: date) -> list[Comparison]:
        """Return the comparisons of a night as stage `metrics` makes them after earlier nights."""
        contract, fitted, weekday = self.contract, self.fitted, day.weekday()
        policy, usual = contract.monitoring, NOTHING
        if len(self.joint) >= policy.least_nights:
            columns = {
                name: found
                for name, column in fitted.columns.items()
                if (found := usual_nights(policy, column.frozen, self.profiles[name], weekday))
            }
            joint = usual_joint(policy, fitted.joint, self.joint, weekday) if fitted.joint else None
            is_varying = varying([columns[name] for name in fitted.inputs if name in columns])
            usual = UsualBatch(columns, joint, is_varying, policy.least_nights)
        inputs = compare_columns(contract, fitted, loans, fitted.inputs, usual.columns)
        outputs = compare_columns(contract, fitted, loans, fitted.outputs, usual.columns)
        return [*inputs, *map(usual.judged, [*outputs, *fitted.together(policy, loans)])]

    def _keep(self, comparisons: Sequence[Comparison], day: date) -> None:
        for each in comparisons:
            if each.profile is not None:
                self.profiles.setdefault(each.feature, []).append(NightProfile(day, each.profile))
            if each.feature == ALL:
                auc, z = (test.statistic for test in each.tests)
                self.joint.append(JointNight(day, each.facts["rows"], auc, z))


NightTask = tuple[str, int, int]
"""Name of the scenario, loans of a night, and number of the repetition."""


def night_tasks(sizes: Sequence[int], repeats: int) -> list[NightTask]:
    """Return the tasks of `run_nights`: every scenario and size, with several repetitions."""
    names = (*VARYING, *CREEPING)
    first, creep_size = next(iter(CREEPING)), sorted(sizes)[len(sizes) // 2]
    tasks = [
        (name, size, n)
        for name in names
        for size in sizes
        if name in VARYING or name == first or size == creep_size
        for n in range(repeats)
    ]
    return [*tasks, *((RARE, 500, n) for n in range(repeats))]


def run_nights(contract: Contract, pool: LoanPool, task: NightTask) -> dict[str, Any]:
    """Run one task, and return its counts of nights and alerts as values for JSON."""
    name, size, repeat = task
    seed = [contract.training.seed, repeat, size, sum(map(ord, name))]
    nights = Nights(contract, pool, size, np.random.default_rng(seed))
    found: dict[str, Any] = {"scenario": name, "loans": size}
    if name in VARYING:
        return found | _varying(nights, name)
    if name in CREEPING:
        return found | _creeping(nights, name)
    return found | _rare_level(nights)


def _varying(nights: Nights, name: str) -> dict[str, Any]:
    """Run the weeks without drift, then one more week with shifts of it that must be found."""
    before: list[bool] = []
    after: list[bool] = []
    causes: list[str] = []
    days = [FIRST + timedelta(days) for days in range(7 * WEEKS)]
    for place, day in enumerate(days):
        alerts = nights.alerts(nights.draw(name, day), day)
        is_counted = place >= 7 * (FROM_WEEK - 1)
        (after if is_counted else before).append(bool(alerts))
        causes += [text for text in alerts if is_counted]
    found: dict[str, list[bool]] = {}
    for number in range(7):
        day = days[-1] + timedelta(number + 1)
        loans = nights.draw(name, day)
        for shift, drifted in _shifts(nights, name, loans, day).items():
            column = nights.columns.category if "weekday" in shift else nights.columns.number
            alerts = nights.alerts(drifted, day, is_kept=False)
            found.setdefault(shift, []).append(any(text.startswith(column) for text in alerts))
    return {
        "before": [sum(before), len(before)],
        "after": [sum(after), len(after)],
        "causes": causes,
        "found": {shift: [sum(hits), len(hits)] for shift, hits in found.items()},
    }


def _shifts(nights: Nights, name: str, loans: pa.Table, day: date) -> dict[str, pa.Table]:
    """Return a night with shifts that the usual nights do not explain, by name of the shift."""
    column = nights.columns.number
    values = loans.column(column).cast(pa.float64())
    place = loans.column_names.index(column)
    deviation = pc.stddev(nights.pool.table.column(column)).as_py()
    found = {
        f"{column} + {size:g} sd": loans.set_column(place, column, pc.add(values, size * deviation))
        for size in (0.2, 0.5)
    }
    if name in (WEEKEND, BOTH) and day.weekday() >= 5:
        found["a weekend with the mix of a weekday"] = nights.draw(
            SHUFFLED if name == WEEKEND else MIXED, day
        )
    return found


def _creeping(nights: Nights, name: str) -> dict[str, Any]:
    """Let a number grow by 1 % a night, and count the nights to the first alert on the column."""
    column, kind = nights.columns.number, CREEPING[name]
    quiet = 0 if name == "creep after training" else 7 * WEEKS
    for number in range(quiet):
        day = FIRST + timedelta(number)
        nights.alerts(nights.draw(kind, day), day)
    for number in range(1, MOST_CREEPING + 1):
        day = FIRST + timedelta(quiet + number - 1)
        loans = nights.draw(kind, day)
        place = loans.column_names.index(column)
        grown = pc.multiply(loans.column(column).cast(pa.float64()), CREEP**number)
        alerts = nights.alerts(loans.set_column(place, column, grown), day)
        if any(text.startswith(column) for text in alerts):
            return {"nights": number}
    return {"nights": None}


def _rare_level(nights: Nights) -> dict[str, Any]:
    """Give 10 % of many nights the rarest level of all, and count the nights with an alert."""
    column, level = nights.columns.rare, nights.columns.rare_level
    hits = []
    for number in range(20):
        day = FIRST + timedelta(number)
        loans = nights.draw(SHUFFLED, day)
        place = loans.column_names.index(column)
        mask = np.zeros(nights.size, bool)
        mask[nights.dice.choice(nights.size, round(RARE_SHARE * nights.size), replace=False)] = True
        drifted = pc.if_else(pa.array(mask), level, loans.column(column))
        alerts = nights.alerts(loans.set_column(place, column, drifted), day, is_kept=False)
        hits.append(any(text.startswith(column) for text in alerts))
    share = pc.mean(pc.equal(nights.pool.table.column(column), level).cast(pa.float64())).as_py()
    return {"column": column, "level": level, "usual": share, "found": [sum(hits), len(hits)]}
