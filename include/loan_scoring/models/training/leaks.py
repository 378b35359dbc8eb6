"""Find columns that reveal the outcome: the leak gate.

A column leaks if it was filled, or left empty, after the outcome was known. A model cannot notice
this, so three figures of each column are compared with limits: how well the values alone rank
loans by default, how well the nulls alone rank loans by default, and which levels are near-pure.
In a near-pure level, nearly all loans have the same outcome.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import KEY, Column, Contract, LeakPolicy
from loan_scoring.contract.column_rules import STORED_ONLY
from loan_scoring.models.training.leak_figures import LeakFigures, leak_figures

VERDICTS = ("leak", "acknowledged", "excluded", "suspect", "clean")
"""The verdicts on a column, from the worst to the best."""


@dataclass(frozen=True)
class LeakFinding:
    """The verdict on one column, with the figures behind it.

    `everyone` has the figures over all loans. `judged` has the figures over the loans that are not
    excluded from scoring. `role` is `feature`, `protected`, `stored`, `key`, `pricing` or
    `outcome`.
    `verdict` is one of:

    - `leak`: a figure reaches its limit. For a feature, only the judged loans count. For any other
      column, all loans count.
    - `acknowledged`: a figure reaches its limit, but the contract accepts this leak with a reason.
    - `excluded`: a figure of a feature reaches its limit over all loans, but no figure reaches its
      limit over the judged loans.
    - `suspect`: the column has near-pure levels, but no figure reaches its limit.
    - `clean`: no figure reaches its limit, and the column has no near-pure levels.

    `reasons` has a phrase for each figure that reaches its limit. `is_decisive` is True if a
    feature has the verdict `leak`. Then the column is dropped or the training is refused.
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
    """The findings on all columns of the contract, sorted from the worst verdict to the best."""

    loans: int
    judged_loans: int
    findings: list[LeakFinding]
    leaves: list[dict[str, Any]] | None = None
    """The pure leaves of the benchmark tree, as `describe_leaves` returns them. None if no tree was
    fitted.
    """

    @property
    def decisive(self) -> list[LeakFinding]:
        """The findings on features that leak and that the contract does not acknowledge."""
        return [finding for finding in self.findings if finding.is_decisive]

    def as_json(self) -> dict[str, Any]:
        """Return the report as a dictionary, ready for JSON."""
        found = asdict(self)
        if self.leaves is None:
            del found["leaves"]
        return found


def leak_report(
    contract: Contract, table: pa.Table, judged: np.ndarray, history: np.ndarray
) -> LeakReport:
    """Return the leak report on all columns of the contract, except texts, UUIDs and dates.

    A column that is known only after the application is measured on `history` only. The reason is
    that such a column is still null in a nightly batch, for paid and defaulted loans alike.

    Args:
        contract: contract with the roles of the columns, the limits and the acknowledged leaks.
        table: labelled applications with all columns of the contract and `is_default`.
        judged: mask of the applications that a model judges, shape (rows,).
        history: mask of the applications from `history`, shape (rows,). If there are none, all
            applications are used.
    """
    y = table.column("is_default").to_numpy().astype(bool)
    if not history.any():
        history = np.ones(len(y), dtype=bool)
    seed = contract.training.seed
    findings = []
    for column in contract.by_name.values():
        if column.type in STORED_ONLY:
            continue  # no model reads such a type, and most of its values are single ones
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
        role = "stored" if column.stored_only else role
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
    """Return a phrase for each figure that reaches or exceeds its limit."""
    reasons = []
    if (figures.auc or 0.0) >= policy.auc_limit:
        reasons.append(f"AUC of the column alone {figures.auc:.3f}, limit {policy.auc_limit:g}")
    # Only a high AUC is compared with a limit, because `level_auc` is above 0.5 if nulls show a
    # default and also if nulls show that the loan is paid.
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
