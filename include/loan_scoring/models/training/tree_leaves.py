"""Find the pure leaves of a benchmark tree, and describe tree and leaves in words.

In a pure leaf nearly all loans have the same outcome. If such leaves hold many loans, their columns
may give the outcome away together, although each looks harmless alone.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from loan_scoring.contract import Contract, LeakPolicy
from loan_scoring.models.training.benchmark_tree import DEPTH, RARE, BenchmarkTree, Branch
from loan_scoring.models.training.leak_figures import PURE_LIFT
from loan_scoring.statistics.auc import auc
from loan_scoring.statistics.intervals import wilson


@dataclass(frozen=True)
class PureLeaf:
    """A leaf in which nearly all loans have the same outcome.

    `columns` has the columns of its conditions that made the outcome more frequent, the strongest
    first. `holdout_loans` and `holdout_default_rate` are of the loans of the hold-out in the leaf.
    `coverage` is the share of all loans with this outcome that are in the leaf. `reason` is
    that of the contract if it acknowledges one of the columns.
    """

    leaf: int
    conditions: list[Branch]
    columns: list[str]
    loans: int
    default_rate: float
    holdout_loans: int
    holdout_default_rate: float
    coverage: float
    reason: str | None

    @property
    def outcome(self) -> str:
        """Whether most loans of the leaf `defaulted` or `were paid`."""
        return "defaulted" if self.default_rate > 0.5 else "were paid"


def pure_leaves(
    tree: BenchmarkTree, policy: LeakPolicy, X: pd.DataFrame, y: np.ndarray
) -> list[PureLeaf]:
    """Return the pure leaves of a tree, the one with the most loans of its outcome first.

    A leaf is pure if the share of an outcome is at least `tree_pure_share`, the lower limit of the
    Wilson interval is at least `pure_share`, and the share is PURE_LIFT times that in all loans.
    The lower limit and the lift are those of the test of single columns. In the hold-out the share
    must be at least `pure_share`, because a tree finds some leaves that are pure by chance.

    Args:
        tree: fitted tree.
        policy: limits of the leak gate.
        X: hold-out, as `feature_frame` returns it.
        y: outcomes of the hold-out, 1 for default, shape (rows,).
    """
    root, found = tree.nodes[0], []
    loans, defaults = tree.leaf_counts(X, y)
    for place, node in enumerate(tree.nodes):
        if not node.is_leaf:
            continue
        for is_default in (True, False):
            hits = node.defaults if is_default else node.loans - node.defaults
            total = root.defaults if is_default else root.loans - root.defaults
            share, rate = hits / node.loans, defaults[place] / max(loans[place], 1)
            if (
                share < policy.tree_pure_share
                or not loans[place]
                or (rate if is_default else 1 - rate) < policy.pure_share
                or wilson(hits, node.loans)[0] < policy.pure_share
                or share < PURE_LIFT * total / root.loans
            ):
                continue
            path = tree.path(place)
            gains: dict[str, float] = {}
            for step in path:
                child, parent = tree.nodes[step], tree.nodes[tree.nodes[step].parent or 0]
                gain = (child.rate - parent.rate) * (1 if is_default else -1)
                assert child.branch is not None  # noqa: S101 - only the root has none
                gains[child.branch.column] = gains.get(child.branch.column, 0.0) + gain
            columns = sorted((n for n in gains if gains[n] > 0), key=lambda n: -gains[n])
            accepted = policy.acknowledged | policy.acknowledged_leaves
            reasons = [accepted[name] for name in columns if name in accepted]
            conditions = [branch for step in path if (branch := tree.nodes[step].branch)]
            found.append(
                PureLeaf(
                    place, conditions, columns, node.loans, node.rate,
                    int(loans[place]), float(rate), hits / total,
                    reasons[0] if reasons else None,
                )
            )  # fmt: skip
    return sorted(found, key=lambda leaf: -leaf.coverage)


def leaking_leaves(leaves: list[PureLeaf], policy: LeakPolicy) -> list[PureLeaf]:
    """Return the leaves that leak: those that nobody acknowledged, if they hold too many loans.

    All such leaves of one outcome together hold more than `coverage_limit` of its loans.
    """
    found = []
    for outcome in ("defaulted", "were paid"):
        new = [leaf for leaf in leaves if leaf.outcome == outcome and leaf.reason is None]
        if sum(leaf.coverage for leaf in new) > policy.coverage_limit:
            found += new
    return found


def describe_branch(contract: Contract, branch: Branch) -> str:
    """Return a condition in words, such as `Loan to value above 104`."""
    column = contract.by_name[branch.column]
    if branch.levels is not None:
        words = {None: "missing", RARE: "rare"}
        shown = [words.get(each) or column.shown_level(str(each)) for each in branch.levels]
        more = f" and {len(shown) - 3} more" if len(shown) > 4 else ""
        return f"{column.label} {' or '.join(shown[: 3 if more else 4])}{more}"
    if branch.limit is None:
        return f"{column.label} {'missing' if branch.with_null else 'known'}"
    if column.type == "boolean":
        text = "yes" if branch.is_above else "no"
    else:
        text = f"{'above' if branch.is_above else 'up to'} {branch.limit:,.6g}"
    return f"{column.label} {text}{' or missing' if branch.with_null else ''}"


def describe_tree(
    contract: Contract, tree: BenchmarkTree, X: pd.DataFrame, y: np.ndarray
) -> dict[str, Any]:
    """Return the tree and its AUC on the hold-out, ready for JSON.

    Args:
        contract: contract with the labels.
        tree: fitted tree.
        X: hold-out, as `feature_frame` returns it.
        y: outcomes of the hold-out, 1 for default, shape (rows,).
    """
    return {
        "auc": auc(y, tree.predict(X)),
        "depth": DEPTH,
        "loans": tree.nodes[0].loans,
        "nodes": [
            asdict(replace(node, branch=None))
            | {"text": describe_branch(contract, node.branch) if node.branch else None}
            for node in tree.nodes
        ],
        "leaves": describe_leaves(contract, pure_leaves(tree, contract.training.leaks, X, y)),
    }


def describe_leaves(contract: Contract, leaves: list[PureLeaf]) -> list[dict[str, Any]]:
    """Return pure leaves with their rules in words, ready for JSON."""
    leaking = {leaf.leaf for leaf in leaking_leaves(leaves, contract.training.leaks)}
    return [
        {
            "rule": rule_of(contract, leaf), "columns": leaf.columns, "loans": leaf.loans,
            "default_rate": leaf.default_rate, "holdout_loans": leaf.holdout_loans,
            "holdout_default_rate": leaf.holdout_default_rate, "coverage": leaf.coverage,
            "reason": leaf.reason, "is_decisive": leaf.leaf in leaking,
        }
        for leaf in leaves
    ]  # fmt: skip


def rule_of(contract: Contract, leaf: PureLeaf) -> str:
    """Return the conditions of a leaf in words, only those on columns that make it pure."""
    shown: dict[tuple[str, bool | None], Branch] = {}
    for branch in leaf.conditions:
        if branch.column in leaf.columns:
            # A later condition on the same side of a number, or on a category, is the narrower one.
            shown[branch.column, None if branch.levels else branch.is_above] = branch
    return ", ".join(describe_branch(contract, branch) for branch in shown.values())
