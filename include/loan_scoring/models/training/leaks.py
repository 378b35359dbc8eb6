"""The leak gate: does a column alone give too much of the outcome away?

A column leaks when it was filled, or left empty, after the outcome was known. A model cannot see
that; three figures can: how well the column alone ranks loans, how well its nulls alone do, and
which of its levels have nearly one outcome only.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import KEY, Column, Contract, LeakPolicy
from loan_scoring.models.training.leak_figures import LeakFigures, leak_figures

VERDICTS = ("leak", "acknowledged", "excluded", "suspect", "clean")
"""Worst first."""


@dataclass(frozen=True)
class LeakFinding:
    """A column, its figures over all loans and over those that a model judges, and the verdict.

    `role` is feature, protected, key, pricing or outcome. `verdict` is

    - leak: a figure is above its limit; for a feature, among the loans that a model judges, for
      any other column among all loans;
    - acknowledged: a leak that the contract names, with a reason;
    - excluded: a feature that leaks among all loans, but not among the judged ones;
    - suspect: there are near-pure levels, within the limits;
    - clean.

    `reasons` names the figures and their limits. A decisive leak is an unacknowledged one of a
    feature: it drops the column or refuses training.
    """

    column: str
    role: str
    everyone: LeakFigures
    judged: LeakFigures
    verdict: str
    reasons: list[str]
    is_decisive: bool


@dataclass(frozen=True)
class LeakReport:
    """The findings on every column of the contract, worst first."""

    loans: int
    judged_loans: int
    findings: list[LeakFinding]

    @property
    def decisive(self) -> list[LeakFinding]:
        """The decisive leaks."""
        return [finding for finding in self.findings if finding.is_decisive]

    def as_json(self) -> dict[str, Any]:
        """Return the report fit for JSON."""
        return asdict(self)


def leak_report(
    contract: Contract, table: pa.Table, judged: np.ndarray, history: np.ndarray
) -> LeakReport:
    """Return the finding on every column of the contract.

    A column that is known later than the application is measured on the history alone: in a
    nightly batch it is still null, whatever becomes of the loan.

    Args:
        contract: roles of the columns, limits and acknowledged findings.
        table: labelled applications with all columns of the contract and `is_default`.
        judged: whether a model judges the application, shape (rows,).
        history: whether it came with the history, shape (rows,); all count if none did.
    """
    y = table.column("is_default").to_numpy().astype(bool)
    if not history.any():
        history = np.ones(len(y), dtype=bool)
    seed = contract.training.seed
    findings = []
    for column in contract.columns:
        if column.type == "text":
            continue  # a key: every loan has its own value
        values = table.column(column.name).combine_chunks()
        rows = np.ones(len(y), dtype=bool) if column.is_known_at_application else history
        everyone, judged_only = (
            leak_figures(values.filter(pa.array(mask)), y[mask], contract.training.leaks, seed)
            for mask in (rows, rows & judged)
        )
        findings.append(_judge(contract, column, everyone, judged_only))
    findings.sort(key=lambda each: (VERDICTS.index(each.verdict), -(each.everyone.auc or 0.0)))
    return LeakReport(len(y), int(judged.sum()), findings)


def _judge(
    contract: Contract, column: Column, everyone: LeakFigures, judged: LeakFigures
) -> LeakFinding:
    policy = contract.training.leaks
    is_feature = column in contract.features
    if is_feature:
        role = "feature"
    elif column.name == KEY:
        role = "key"
    else:
        role = "protected" if column.is_known_at_application else column.known
    reasons = over_limits(judged if is_feature else everyone, policy)
    before = over_limits(everyone, policy)
    acknowledged = column.name in policy.acknowledged
    if reasons:
        verdict = "acknowledged" if acknowledged else "leak"
    elif before:
        verdict = "excluded"
    else:
        verdict = "suspect" if everyone.near_pure or judged.near_pure else "clean"
    return LeakFinding(
        column.name, role, everyone, judged, verdict, reasons or before,
        bool(reasons) and is_feature and not acknowledged,
    )  # fmt: skip


def over_limits(figures: LeakFigures, policy: LeakPolicy) -> list[str]:
    """Return a phrase for each figure that is above its limit."""
    reasons = []
    if (figures.auc or 0.0) >= policy.auc_limit:
        reasons.append(f"AUC of the column alone {figures.auc:.3f}, limit {policy.auc_limit:g}")
    # Nulls may point to either outcome: level_auc has taken the direction out already.
    if (figures.null_auc or 0.0) >= policy.null_auc_limit:
        reasons.append(
            f"AUC of its nulls alone {figures.null_auc:.3f}, limit {policy.null_auc_limit:g}"
        )
    for level in figures.near_pure:
        if level.coverage >= policy.coverage_limit:
            outcome = "defaulted" if level.default_rate > 0.5 else "were paid"
            share = max(level.default_rate, 1 - level.default_rate)
            reasons.append(
                f"{share:.1%} of {level.loans} loans with {level.level} {outcome}, "
                f"{level.coverage:.1%} of all that did, limit {policy.coverage_limit:g}"
            )
    return reasons
