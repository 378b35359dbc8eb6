"""Run one round of a calibration: split the pool, compare batches with a baseline, count alerts.

The batches and the baseline of a round share no loan. Every round splits the pool again at random.
Because all loans come from one population, an alert in an undrifted batch is a false alarm. The
false-alarm rate is the share of rounds with such an alert (an A/A test).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.shifts import (
    CORRELATION,
    SHIFTS,
    correlated_pairs,
    eligible_columns,
    permute_column,
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
    detected: dict[tuple[str, float, str], bool] = field(default_factory=dict)
    """Whether an alert found a shift, by (name of the shift, size of the shift, column)."""


@dataclass(frozen=True)
class SplitPool:
    """The loans of a baseline, the fitted baseline, and the batches to compare, by batch size."""

    baseline: pa.Table
    fitted: FittedBaseline
    batches: dict[int, pa.Table]


def split_pool(
    contract: Contract, pool: pa.Table, sizes: Sequence[int], seed: Sequence[int]
) -> SplitPool:
    """Split the pool at random into batches and a baseline, and fit the baseline.

    All loans that are in no batch form the baseline.
    """
    rng = np.random.default_rng(list(seed))
    parts = np.split(rng.permutation(pool.num_rows), np.cumsum(sizes))
    batches = {
        size: pool.take(pa.array(np.sort(part)))
        for size, part in zip(sizes, parts[:-1], strict=True)
    }
    baseline = pool.take(pa.array(np.sort(parts[-1])))
    is_holdout = rng.random(baseline.num_rows) < HOLDOUT_SHARE
    outputs = [name for name in PREDICTIONS if name in pool.column_names]
    scored = baseline.select(outputs).filter(pa.array(is_holdout))
    frozen = fit_baseline(contract, baseline.drop_columns(outputs)) | fit_baseline(contract, scored)
    rows = pa.array(np.cumsum(is_holdout) - 1, mask=~is_holdout)
    sample = baseline.drop_columns(outputs)
    for name in outputs:
        sample = sample.append_column(name, scored.column(name).take(rows))
    return SplitPool(baseline, FittedBaseline.fit(contract, frozen, sample), batches)


def compare_columns(
    contract: Contract, fitted: FittedBaseline, batch: pa.Table
) -> dict[str, Comparison]:
    """Return every comparison of a batch with the baseline, by feature.

    These are the comparisons that stage `metrics` makes in production.
    """
    policy = contract.monitoring
    found = {
        name: compare_column(name, policy, column, batch.column(name))
        for name, column in fitted.columns.items()
    }
    return found | {each.feature: each for each in fitted.together(policy, batch)}


def run_round(
    contract: Contract,
    pool: pa.Table,
    sizes: Sequence[int],
    power_size: int | None,
    seed: Sequence[int],
) -> RoundResult:
    """Split the pool once. Return the alerts in undrifted batches, and the shifts that were found.

    Each shift is applied to one column of the batch at a time. To save time, the results of the
    joint tests on the undrifted batch are also used for the shifted batch. This can only lower the
    measured power, because the joint tests would give smaller p-values on the shifted batch, and
    smaller p-values would lower the adjusted p-values of the other tests. Only for the shift
    CORRELATION do the joint tests run again.

    Args:
        contract: contract of the portfolio.
        pool: typed and scored loans.
        sizes: sizes of the batches.
        power_size: size of the batch to which shifts are applied. If None, no shift is applied.
        seed: random seed for the split and the shifts.
    """
    split = split_pool(contract, pool, sizes, seed)
    found = RoundResult()
    for size, batch in split.batches.items():
        comparisons = compare_columns(contract, split.fitted, batch)
        _, findings = decide_drift(contract.monitoring, list(comparisons.values()))
        found.alerts[size] = [
            f"{finding.comparison.feature}: {', '.join(finding.failed_tests)}"
            for finding in findings
        ]
        if size == power_size:
            _apply_shifts(
                contract, split, batch, comparisons, found, np.random.default_rng(list(seed))
            )
    return found


def _apply_shifts(
    contract: Contract,
    split: SplitPool,
    batch: pa.Table,
    comparisons: dict[str, Comparison],
    found: RoundResult,
    rng: np.random.Generator,
) -> None:
    policy = contract.monitoring
    outputs = tuple(split.fitted.outputs)

    def is_found(name: str, changed: dict[str, Comparison]) -> bool:
        _, findings = decide_drift(policy, list((comparisons | changed).values()))
        return any(finding.comparison.feature == name for finding in findings)

    for shift in SHIFTS:
        for name in eligible_columns(shift, split.baseline, outputs):
            for size in shift.sizes:
                drifted = shift.apply(batch.column(name), split.baseline.column(name), size, rng)
                one = compare_column(name, policy, split.fitted.columns[name], drifted)
                found.detected[shift.name, size, name] = is_found(name, {name: one})
    for name in columns_to_decorrelate(split.baseline, list(split.fitted.inputs)):
        together = split.fitted.together(policy, permute_column(batch, name, rng))
        changed = {each.feature: each for each in together}
        found.detected[CORRELATION, 0.0, name] = is_found(ALL, changed)


def columns_to_decorrelate(baseline: pa.Table, inputs: list[str]) -> list[str]:
    """Return the names of the PERMUTED columns to permute.

    The columns are taken from the most strongly correlated pairs.
    """
    numbers = eligible_columns(SHIFTS[0], baseline.select(inputs), ())
    names: list[str] = []
    for left, right, _ in correlated_pairs(baseline, numbers):
        names += [name for name in (left, right) if name not in names]
    return names[:PERMUTED]
