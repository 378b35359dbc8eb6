"""One round of a calibration: deal the pool anew, hold batches against the rest, count alerts.

A round's batches and its baseline share no loan. Every round deals again, so that rounds are
independent draws of who is in the batch; it is the drawing that an A/A rate is over.
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
"""Of the baseline, the loans whose predictions are frozen, as training has it."""
PERMUTED = 3
"""How many columns have their correlation broken: both of the strongest pair, and the next."""


@dataclass
class RoundResult:
    """What was found in one round.

    `alerts` has the features with an alert in the undrifted batch of each size, as text;
    `detected` by (shift, size, column) whether that
    very column had an alert, in the batch of the size that power is measured at.
    """

    alerts: dict[int, list[str]] = field(default_factory=dict)
    detected: dict[tuple[str, float, str], bool] = field(default_factory=dict)


@dataclass(frozen=True)
class DealtPool:
    """A baseline, fitted, and the batches that were dealt beside it, by size."""

    known: pa.Table
    fitted: FittedBaseline
    batches: dict[int, pa.Table]


def deal_pool(
    contract: Contract, pool: pa.Table, sizes: Sequence[int], seed: Sequence[int]
) -> DealtPool:
    """Deal the pool: the batches first, the rest is the baseline, frozen as training does it."""
    rng = np.random.default_rng(list(seed))
    parts = np.split(rng.permutation(pool.num_rows), np.cumsum(sizes))
    batches = {
        size: pool.take(pa.array(np.sort(part)))
        for size, part in zip(sizes, parts[:-1], strict=True)
    }
    known = pool.take(pa.array(np.sort(parts[-1])))
    is_holdout = rng.random(known.num_rows) < HOLDOUT_SHARE
    outputs = [name for name in PREDICTIONS if name in pool.column_names]
    scored = known.select(outputs).filter(pa.array(is_holdout))
    frozen = fit_baseline(contract, known.drop_columns(outputs)) | fit_baseline(contract, scored)
    rows = pa.array(np.cumsum(is_holdout) - 1, mask=~is_holdout)
    sample = known.drop_columns(outputs)
    for name in outputs:
        sample = sample.append_column(name, scored.column(name).take(rows))
    return DealtPool(known, FittedBaseline.fit(contract, frozen, sample), batches)


def compare_columns(
    contract: Contract, fitted: FittedBaseline, batch: pa.Table
) -> dict[str, Comparison]:
    """Return every comparison of a batch, by feature, as metrics makes them."""
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
    """Deal once; count alerts in undrifted batches, and detections where `power_size` is given.

    A shift of one column is laid on the same batch, column after column. The joint tests beside it
    are those of the batch before the shift: at worst that makes a detection rarer, as a smaller p
    of theirs would only lower the adjusted p of others.
    """
    dealt = deal_pool(contract, pool, sizes, seed)
    found = RoundResult()
    for size, batch in dealt.batches.items():
        comparisons = compare_columns(contract, dealt.fitted, batch)
        _, findings = decide_drift(contract.monitoring, list(comparisons.values()))
        found.alerts[size] = [
            f"{finding.comparison.feature}: {', '.join(finding.causes)}" for finding in findings
        ]
        if size == power_size:
            _powers(contract, dealt, batch, comparisons, found, np.random.default_rng(list(seed)))
    return found


def _powers(
    contract: Contract,
    dealt: DealtPool,
    batch: pa.Table,
    comparisons: dict[str, Comparison],
    found: RoundResult,
    rng: np.random.Generator,
) -> None:
    policy = contract.monitoring
    outputs = tuple(dealt.fitted.outputs)

    def is_found(name: str, changed: dict[str, Comparison]) -> bool:
        _, findings = decide_drift(policy, list((comparisons | changed).values()))
        return any(finding.comparison.feature == name for finding in findings)

    for shift in SHIFTS:
        for name in eligible_columns(shift, dealt.known, outputs):
            for size in shift.sizes:
                drifted = shift.lay(batch.column(name), dealt.known.column(name), size, rng)
                one = compare_column(name, policy, dealt.fitted.columns[name], drifted)
                found.detected[shift.name, size, name] = is_found(name, {name: one})
    for name in columns_to_decorrelate(dealt.known, list(dealt.fitted.inputs)):
        together = dealt.fitted.together(policy, permute_column(batch, name, rng))
        changed = {each.feature: each for each in together}
        found.detected[CORRELATION, 0.0, name] = is_found(ALL, changed)


def columns_to_decorrelate(known: pa.Table, inputs: list[str]) -> list[str]:
    """Return the columns whose correlation is broken: from the most strongly correlated pairs."""
    numbers = eligible_columns(SHIFTS[0], known.select(inputs), ())
    names: list[str] = []
    for left, right, _ in correlated_pairs(known, numbers):
        names += [name for name in (left, right) if name not in names]
    return names[:PERMUTED]
