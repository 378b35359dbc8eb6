"""Say which columns look known only after the decision: by their header, or by their values."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from loan_scoring.contract import KEY, Contract, LeakPolicy
from loan_scoring.contract.column_rules import STORED_ONLY
from loan_scoring.drafting import hints
from loan_scoring.drafting.dry_run import DryRun
from loan_scoring.drafting.words import words_of
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.leak_figures import LeakFigures, leak_figures

MOST_ROWS = 60_000
"""Leak figures are taken from at most so many loans; more change no digit that is shown."""
RARELY = 0.99
"""A column with so large a share of nulls may be filled by later events only."""
SEED = 20260105
"""The seed of contracts that name none, so that `leaks` gives the figures of the draft."""


class ColumnFigures:
    """Leak figures of columns, on the loans with an outcome.

    Args:
        outcomes: 1 for a default, 0 for a paid loan and -1 for no outcome, shape (rows,), or None.
        seed: random seed for drawing the folds.
        policy: limits of the leak gate.
    """

    def __init__(
        self, outcomes: np.ndarray | None, seed: int = SEED, policy: LeakPolicy | None = None
    ) -> None:
        places = np.flatnonzero(outcomes >= 0) if outcomes is not None else np.empty(0, int)
        if len(places) > MOST_ROWS:
            places = np.sort(np.random.default_rng(SEED).permutation(places)[:MOST_ROWS])
        self._places = pa.array(places)
        self._y = outcomes[places] == 1 if outcomes is not None else np.empty(0, bool)
        self._seed, self._policy = seed, policy or LeakPolicy()

    def of(self, values: pa.Array) -> LeakFigures | None:
        """Return the figures of a column. Without loans of both outcomes, return None."""
        if not len(self._y) or self._y.all() or not self._y.any():
            return None
        return leak_figures(values.take(self._places), self._y, self._policy, self._seed)


def when_known(
    words: Sequence[str], found: LeakFigures | None, policy: LeakPolicy | None = None
) -> tuple[str, str | None]:
    """Return when a column is known, and the question for a person if that is doubtful."""
    limits, by_name = policy or LeakPolicy(), hints.known_by_name(words)
    signs = []
    if found is not None:
        if found.auc is not None and found.auc > limits.auc_limit:
            signs.append(f"alone it has AUC {found.auc:.2f}")
        if found.null_auc is not None and found.null_auc > limits.null_auc_limit:
            signs.append(f"its nulls alone have AUC {found.null_auc:.2f}")
        pure = [each for each in found.near_pure if each.coverage > limits.coverage_limit]
        if pure:
            level = "if it is null" if pure[0].level == "null" else f"at {pure[0].level}"
            signs.append(f"{level} {pure[0].default_rate:.0%} default")
    if signs:
        return "outcome", f"known only afterwards? {', '.join(signs)}"
    if by_name == "outcome":
        return by_name, "known only afterwards, as its header sounds?"
    if by_name == "pricing" and hints.has(words, hints.FUNDED):
        return by_name, "known only when the money is paid out, as its header sounds?"
    if by_name == "pricing":
        return by_name, "a price, set after the decision?"
    if found is not None and found.nulls > RARELY * found.loans:
        return "application", "hardly ever filled: known for each loan at application?"
    return "application", None


def later_warnings(contract: Contract, found: DryRun) -> Iterator[str]:
    """Yield the columns that are declared as known at application, and look known only later.

    The words and figures are those of the draft. Columns that `training.leaks.acknowledged` names
    are left out: a person has given a reason for them. As in the leak gate, loans that an exclusion
    keeps from the model do not count.
    """
    policy = contract.training.leaks
    figures = ColumnFigures(_judged_outcomes(contract, found), contract.training.seed, policy)
    for column in contract.inputs:
        is_asked = column.is_known_at_application and column.name not in policy.acknowledged
        if column.name == KEY or not is_asked:
            continue
        is_read = column.type not in STORED_ONLY and not column.stored_only
        values = found.rows.column(column.name).combine_chunks()
        known, why = when_known(
            words_of(column.sources[0]), figures.of(values) if is_read else None, policy
        )
        if known != "application":
            yield f"columns.{column.name}.known: {why}"


def _judged_outcomes(contract: Contract, found: DryRun) -> np.ndarray | None:
    """Return the outcomes, and -1 also for loans that an exclusion keeps from the model."""
    if found.outcomes is None:
        return None
    named = [each for each in contract.exclusions if each.column in found.rows.column_names]
    own = contract.model_copy(update={"exclusions": named})
    is_judged = exclusion_reasons(own, found.rows).is_null().to_numpy(zero_copy_only=False)
    return np.where(is_judged, found.outcomes, -1)
