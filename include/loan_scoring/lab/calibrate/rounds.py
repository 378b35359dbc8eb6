"""Run one round of a calibration: split the pool, compare batches with a baseline, count alerts.

The batches and the baseline of a round share no loan. Every round splits the pool again at random.
Because all loans come from one population, an alert in an undrifted batch is a false alarm. The
false-alarm rate is the share of rounds with such an alert (an A/A test).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.intake import (
    BATCH,
    DRIFT,
    QUALITY,
    quality_alerts,
    take_in,
)
from loan_scoring.lab.calibrate.pool import LoanPool
from loan_scoring.lab.calibrate.shifts import (
    CORRELATION,
    SHIFTS,
    Shift,
    correlated_pairs,
    eligible_columns,
    permute_column,
    shifted_text,
)
from loan_scoring.models.baseline import PREDICTIONS, fit_baseline
from loan_scoring.monitoring.drift.compare import FittedBaseline, compare_column
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import decide_drift
from loan_scoring.monitoring.drift.joint import ALL

HOLDOUT_SHARE = 0.25
"""Share of the baseline's loans that have predictions.

The share is below 1 because after a training only the hold-out has predictions.
"""
PERMUTED = 3
"""Number of columns to permute.

The columns are both columns of the most strongly correlated pair, and one column of the next pair.
"""


@dataclass
class RoundResult:
    """The alerts in the undrifted batches of one round, and the shifts that an alert found."""

    alerts: dict[int, list[str]] = field(default_factory=dict)
    """Alerts in the undrifted batch, by batch size. Each alert is a string `feature: tests`."""
    detected: dict[tuple[int, str, float, str], list[str]] = field(default_factory=dict)
    """The ways by which an alert found a shift, none if there was no alert.

    The key is (batch size, name of the shift, size of the shift, column).
    """


@dataclass(frozen=True)
class DrawnBatch:
    """A batch as text, and the same loans as monitored columns with predictions."""

    text: pa.Table
    loans: pa.Table


@dataclass(frozen=True)
class SplitPool:
    """The loans of a baseline, the fitted baseline, and the batches to compare, by batch size."""

    baseline: pa.Table
    fitted: FittedBaseline
    batches: dict[int, DrawnBatch]


def split_pool(
    contract: Contract, pool: LoanPool, sizes: Sequence[int], seed: Sequence[int]
) -> SplitPool:
    """Split the pool at random into batches and a baseline, and fit the baseline.

    All loans that are in no batch form the baseline.
    """
    rng = np.random.default_rng(list(seed))
    parts = np.split(rng.permutation(pool.table.num_rows), np.cumsum(sizes))
    batches = {}
    for size, part in zip(sizes, parts[:-1], strict=True):
        rows = pa.array(np.sort(part))
        batches[size] = DrawnBatch(pool.text.take(rows), pool.table.take(rows))
    baseline = pool.table.take(pa.array(np.sort(parts[-1])))
    return SplitPool(baseline, fit_pool_baseline(contract, baseline, rng), batches)


def fit_pool_baseline(
    contract: Contract, baseline: pa.Table, rng: np.random.Generator
) -> FittedBaseline:
    """Fit the baseline of monitored columns and predictions, as a training does."""
    is_holdout = rng.random(baseline.num_rows) < HOLDOUT_SHARE
    outputs = [name for name in PREDICTIONS if name in baseline.column_names]
    scored = baseline.select(outputs).filter(pa.array(is_holdout))
    sample = baseline.drop_columns(outputs)
    frozen = fit_baseline(contract, sample) | fit_baseline(contract, scored)
    rows = pa.array(np.cumsum(is_holdout) - 1, mask=~is_holdout)
    for name in outputs:
        sample = sample.append_column(name, scored.column(name).take(rows))
    return FittedBaseline.fit(contract, frozen, sample)


def compare_columns(
    contract: Contract, fitted: FittedBaseline, batch: pa.Table, names: Sequence[str] | None = None
) -> dict[str, Comparison]:
    """Return the comparison of each column of a batch with the baseline, by feature.

    These are the comparisons that stage `metrics` makes in production. If `names` is None, all
    columns are compared, and all inputs together.
    """
    policy = contract.monitoring
    found = {
        name: compare_column(name, policy, fitted.columns[name], batch.column(name))
        for name in fitted.columns
        if names is None or name in names
    }
    together = fitted.together(policy, batch) if names is None else []
    return found | {each.feature: each for each in together}


@dataclass(frozen=True)
class RoundTask:
    """The sizes of a round's batches, those that are shifted, and the seed.

    `shifted` says of each size whether every size of a shift is applied, or only the one for which
    a power is required.
    """

    sizes: tuple[int, ...]
    shifted: Mapping[int, bool]
    seed: tuple[int, ...]


def run_round(contract: Contract, pool: LoanPool, task: RoundTask) -> RoundResult:
    """Split the pool once. Return the alerts in undrifted batches, and which shifts were found."""
    sizes, power_sizes, seed = task.sizes, task.shifted, task.seed
    split = split_pool(contract, pool, sizes, seed)
    found = RoundResult()
    for size, batch in split.batches.items():
        comparisons = compare_columns(contract, split.fitted, batch.loans)
        _, findings = decide_drift(contract.monitoring, list(comparisons.values()))
        found.alerts[size] = [
            f"{finding.comparison.feature}: {', '.join(finding.failed_tests)}"
            for finding in findings
        ]
        of_ingest = quality_alerts(contract, batch.loans)
        found.alerts[size] += [f"{name}: {way} of ingest" for name, way in sorted(of_ingest)]
        if size in power_sizes:
            round_ = _ShiftedBatch(
                contract, pool, split, batch, comparisons, np.random.default_rng([*seed, size])
            )
            for key, ways in round_.detected(is_whole=power_sizes[size]).items():
                found.detected[size, *key] = ways
    return found


@dataclass(frozen=True)
class _ShiftedBatch:
    """A batch to which shifts are applied, one at a time.

    To save time, the joint tests and the predictions of the undrifted batch are also used for the
    shifted batch. This can only lower the measured power, because their p-values on the shifted
    batch would be smaller, and smaller p-values lower the adjusted p-values of the other tests.
    Only for the shift CORRELATION do the joint tests run again.
    """

    contract: Contract
    pool: LoanPool
    split: SplitPool
    batch: DrawnBatch
    comparisons: dict[str, Comparison]
    rng: np.random.Generator

    def detected(self, *, is_whole: bool) -> dict[tuple[str, float, str], list[str]]:
        """Return the ways by which each shift was found, by (shift, its size, column)."""
        found = {}
        for shift in SHIFTS:
            required = () if shift.required is None else (shift.required,)
            for name in eligible_columns(self.contract, shift, self.split.baseline):
                for size in shift.sizes if is_whole else required:
                    found[shift.name, size, name] = self._ways(shift, name, size)
        for name in columns_to_decorrelate(self.contract, self.split.baseline):
            found[CORRELATION, 0.0, name] = self._ways_of_permuted(name)
        return found

    def _ways(self, shift: Shift, name: str, size: float) -> list[str]:
        loans, baseline = self.batch.loans, self.split.baseline
        if shift.takes == "score":
            drifted = shift.apply(loans.column(name), baseline.column(name), size, self.rng)
            place = loans.column_names.index(name)
            return self._drift(name, loans.set_column(place, name, drifted), {name})
        text = shifted_text(
            self.contract, shift, name, size, self.batch.text, loans, baseline, self.rng
        )
        return self._ways_of_text(text, name)

    def _ways_of_text(self, text: pa.Table, name: str) -> list[str]:
        """Return the ways by which a column of a shifted batch raises an alert."""
        loans = self.batch.loans
        taken = take_in(self.contract, text, self.pool.kinds)
        ways = {way for each, way in taken.alerts if each in (name, BATCH)}
        if taken.is_refused:
            return sorted(ways)
        is_whole = len(taken.rows) == loans.num_rows
        drifted = taken.loans
        for each in (each for each in PREDICTIONS if each in loans.column_names):
            drifted = drifted.append_column(each, loans.column(each).take(pa.array(taken.rows)))
        changed = [
            each
            for each in self.split.fitted.columns
            if not is_whole or not drifted.column(each).equals(loans.column(each))
        ]
        return sorted({*ways, *self._drift(name, drifted, changed)})

    def _drift(self, name: str, loans: pa.Table, changed: Sequence[str] | set[str]) -> list[str]:
        compared = compare_columns(self.contract, self.split.fitted, loans, [*changed])
        return self._decide(name, compared)

    def _decide(self, name: str, changed: dict[str, Comparison]) -> list[str]:
        policy = self.contract.monitoring
        _, findings = decide_drift(policy, list((self.comparisons | changed).values()))
        is_found = any(finding.comparison.feature == name for finding in findings)
        return [DRIFT] if is_found else []

    def _ways_of_permuted(self, name: str) -> list[str]:
        """Return the ways by which a broken correlation is found.

        A permuted column of a ratio breaks the ratio, so that ingest refuses the rows.
        """
        permuted = permute_column(self.batch.loans, name, self.rng)
        if any(name in (r.column, r.numerator, r.denominator) for r in self.contract.ratios):
            source = self.contract.by_name[name].sources[0]
            text = permute_column(self.batch.text, source, self.rng)
            taken = take_in(self.contract, text, self.pool.kinds)
            if taken.is_refused:
                return sorted({way for _, way in taken.alerts if way != QUALITY})
        together = self.split.fitted.together(self.contract.monitoring, permuted)
        return self._decide(ALL, {each.feature: each for each in together})


def summarise_rounds(
    contract: Contract, pool: LoanPool, rounds: Sequence[RoundResult]
) -> dict[str, Any]:
    """Return the counts of several rounds as values for JSON.

    `alarms` has rounds and rounds with an alert by batch size, and `causes` counts of the alerts.
    `power` has for each batch size, shift and size of the shift the counts of each column: batches,
    batches in which the shift was found, and how many of these by each way.
    """
    alarms = [
        {
            "loans": size,
            "batches": len(rounds),
            "alerts": sum(bool(each.alerts[size]) for each in rounds),
            "causes": dict(Counter(text for each in rounds for text in each.alerts[size])),
        }
        for size in rounds[0].alerts
    ]
    counts: dict[tuple[int, str, float], dict[str, Counter[str]]] = {}
    for each in rounds:
        for (loans, shift, size, name), ways in each.detected.items():
            column = counts.setdefault((loans, shift, size), {}).setdefault(name, Counter())
            column.update({"batches": 1, "found": int(bool(ways)), **dict.fromkeys(ways, 1)})
    numbers = eligible_columns(contract, SHIFTS[0], pool.table)
    return {
        "alarms": alarms,
        "power": [
            {"loans": loans, "shift": shift, "size": size, "columns": columns}
            for (loans, shift, size), columns in sorted(counts.items())
        ],
        "pairs": correlated_pairs(pool.table, numbers)[:3],
        "compared": len(contract.monitored) + len(PREDICTIONS),
    }


def columns_to_decorrelate(contract: Contract, baseline: pa.Table) -> list[str]:
    """Return the names of the PERMUTED columns to permute.

    The columns are taken from the most strongly correlated pairs.
    """
    numbers = eligible_columns(contract, SHIFTS[0], baseline)
    names: list[str] = []
    for left, right, _ in correlated_pairs(baseline, numbers):
        names += [name for name in (left, right) if name not in names]
    return names[:PERMUTED]
