"""Refuse a training, or drop columns, if columns give the outcome away together."""

import logging
from dataclasses import replace
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.errors import ContractError
from loan_scoring.models.training.benchmark_tree import fit_benchmark
from loan_scoring.models.training.rows import TrainingRows
from loan_scoring.models.training.tree_leaves import (
    describe_leaves,
    leaking_leaves,
    pure_leaves,
    rule_of,
)

log = logging.getLogger(__name__)


def pass_tree_gate(contract: Contract, training: TrainingRows) -> TrainingRows:
    """Return the rows of a training, with the pure leaves of the benchmark tree as `leaves`.

    The rows come back as they are if the leaves were added already. With `action: drop`, the column
    that contributes most to the largest leaf is dropped, until no leaves leak.

    Raises:
        ContractError: leaves leak, and the contract refuses training on leaks.
    """
    if "leaves" in training.leaks:
        return training
    policy, dropped = contract.training.leaks, {}
    features = list(training.features)
    while True:
        found = fit_benchmark(contract, training.table, features) if features else None
        leaves = pure_leaves(found[0], policy, *found[1:]) if found else []
        leaking = leaking_leaves(leaves, policy)
        if not leaking:
            break
        largest = leaking[0]
        if policy.action == "refuse":
            share = sum(leaf.coverage for leaf in leaking if leaf.outcome == largest.outcome)
            raise ContractError(
                f"{contract.portfolio}: the leak gate refuses training: leaves of the benchmark "
                f"tree hold {share:.1%} of all loans that {largest.outcome}, limit "
                f"{policy.coverage_limit:g}; the largest has {largest.loans} loans with "
                f"{rule_of(contract, largest)}, of which "
                f"{max(largest.default_rate, 1 - largest.default_rate):.1%} {largest.outcome}; "
                f"tag {' or '.join(largest.columns)} known: pricing or outcome, exclude the loans, "
                "or give the reason under training.leaks.acknowledged_leaves; "
                f"type: loan-scoring leaks --portfolio {contract.portfolio}"
            )
        column = largest.columns[0]
        dropped[column] = rule_of(contract, largest)
        log.warning("the leak gate drops %s: pure leaf %s", column, dropped[column])
        features.remove(column)
    added: dict[str, Any] = {"leaves": describe_leaves(contract, leaves)}
    if dropped:
        added["dropped_for_leaves"] = dropped
    return replace(training, leaks=training.leaks | added, features=features)
