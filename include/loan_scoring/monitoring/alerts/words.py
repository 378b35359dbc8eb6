"""Say in plain words what drifted, for a person who was woken up by it."""

from collections.abc import Sequence
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.monitoring.drift.decide import DriftFinding

LABELS = {
    "default_probability": "The default probability",
    "decision": "The decision",
    "persona": "The persona",
    "reason_1": "The first reason",
}


OPENING = {"bad_data": "Bad data", "population": "Other applicants than at training"}
MOST_NAMED = 3
"""Columns that an alert says a sentence of; the others are named."""


def describe_cause(
    contract: Contract,
    cause: str,
    findings: Sequence[DriftFinding],
    moved: tuple[str, str, float] | None,
) -> str:
    """Return what a cause did to a batch: its worst columns, and what became of the decisions.

    Args:
        findings: the columns that show the cause, the worst first.
        moved: the decision that lost most, the one that won most, and the share of the batch.
    """
    told = [describe_finding(contract, finding) for finding in findings[:MOST_NAMED]]
    more = [finding.comparison.feature for finding in findings[MOST_NAMED:]]
    parts = [". ".join(told)]
    if more:
        parts.append(f". So do {', '.join(more)}")
    if moved is not None:
        away, to, share = moved
        parts.append(f". {share:.1%} of the batch moves from {away} to {to}")
    return f"{OPENING[cause]}: {''.join(parts)}"


def describe_finding(contract: Contract, finding: DriftFinding) -> str:
    """Return one sentence: what is different, by how much, against what."""
    feature, facts = finding.comparison.feature, finding.comparison.facts
    if finding.comparison.psi is None:
        return _together(contract, finding)
    column = contract.by_name.get(feature)
    label = column.label if column else LABELS[feature]
    unit = f" {column.unit}" if column and column.unit else ""
    parts = []
    if "null_share" in finding.causes:
        parts.append(
            f"is missing in {facts['nulls']:.1%} of the batch against "
            f"{facts['baseline_nulls']:.1%} at training"
        )
    if "unseen_levels" in finding.causes:
        share = sum(facts["shares"][level] for level in facts["unseen"])
        parts.append(
            f"has levels never seen at training: {', '.join(facts['unseen'])} ({share:.1%})"
        )
    if "ks" in finding.causes:
        parts.append(_shift(facts, unit))
    if "chi_square" in finding.causes:
        parts.append(_mix(facts))
    return f"{label} ({feature}) {'; '.join(parts)}; PSI {finding.comparison.psi:.3f}"


def finding_evidence(finding: DriftFinding) -> dict[str, Any]:
    """Return the figures behind a finding, fit for JSON."""
    return {
        "psi": finding.comparison.psi,
        "psi_noise": finding.comparison.psi_noise,
        "causes": finding.causes,
        "tests": {
            test.name: {
                "statistic": test.statistic,
                "effect": test.effect,
                "threshold": test.threshold,
                "p_value": test.p_value,
            }
            for test in finding.comparison.tests
        },
        **finding.comparison.facts,
    }


def _together(contract: Contract, finding: DriftFinding) -> str:
    facts, parts = finding.comparison.facts, []
    if "domain_classifier" in finding.causes:
        by = [contract.by_name[name].label for name in facts["told_by"]]
        parts.append(
            f"a classifier tells the batch from the baseline with an AUC of {facts['auc']:.2f}, "
            f"most by {', '.join(by[:3])}"
        )
    if "reconstruction" in finding.causes:
        parts.append(
            "columns hang together otherwise than at training (reconstruction error "
            f"{facts['error']:.2f} against {facts['baseline_error']:.2f})"
        )
    return f"All inputs together ({finding.comparison.feature}): {'; '.join(parts)}"


def _shift(facts: dict[str, Any], unit: str) -> str:
    now, before = facts["median"], facts["baseline_median"]
    medians = f"median {_figure(now)} against {_figure(before)}{unit} at training"
    change = now / before - 1 if before else 0.0
    if abs(change) < 0.005:
        return f"is spread otherwise than at training ({medians})"
    return (
        f"is {abs(change):.0%} {'higher' if change > 0 else 'lower'} than at training ({medians})"
    )


def _mix(facts: dict[str, Any]) -> str:
    now, before = facts["shares"], facts["baseline_shares"]
    level = max(before, key=lambda each: abs(now.get(each, 0.0) - before[each]))
    return f"is {level} in {now.get(level, 0.0):.1%} of the batch against {before[level]:.1%}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
