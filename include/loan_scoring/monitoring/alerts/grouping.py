"""Group what a batch shows by its cause: bad data, other applicants, or other defaults."""

from collections.abc import Mapping, Sequence
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.monitoring.alerts.causes import BAD_DATA, CONCEPT, POPULATION, BatchCause
from loan_scoring.monitoring.alerts.words import (
    describe_cause,
    describe_outcome_cause,
    finding_evidence,
)
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import DriftFinding
from loan_scoring.monitoring.performance.outcome_tests import OutcomeFinding

SIGNS_OF_BAD_DATA = {"null_share", "unseen_levels"}
MOVED = 0.005
"""Share of a batch that must change its decision before the message says so."""


def group_by_cause(
    contract: Contract,
    kinds: Mapping[str, str],
    findings: Sequence[DriftFinding],
    comparisons: Sequence[Comparison],
) -> list[BatchCause]:
    """Return one entry for each cause that the drift of a batch shows.

    Drift of scores, decisions and personas, and mostly that of all inputs together, follows from
    drift of single inputs: it joins their cause, bad data where there is any. Without drift of a
    single input the cause is population.

    Args:
        kinds: the drift kind of each feature: data, joint or prediction.
        comparisons: all of the batch; they show how the decisions changed.
    """
    ranked = sorted(findings, key=lambda each: -(each.comparison.psi or 0.0))
    inputs = [each for each in ranked if kinds[each.comparison.feature] == "data"]
    outputs = [each for each in ranked if kinds[each.comparison.feature] != "data"]
    bad = [each for each in inputs if SIGNS_OF_BAD_DATA & set(each.causes)]
    other = [each for each in inputs if each not in bad]
    if bad:
        bad += outputs
    elif other or outputs:
        other += outputs
    moved = _largest_move(comparisons)
    return [
        BatchCause(
            cause,
            "critical" if any(each.severity == "critical" for each in shown) else "warning",
            [each.comparison.feature for each in shown],
            describe_cause(contract, cause, shown, moved),
            {each.comparison.feature: finding_evidence(each) for each in shown},
        )
        for cause, shown in ((BAD_DATA, bad), (POPULATION, other))
        if shown
    ]


def outcome_cause(
    contract: Contract, findings: Sequence[OutcomeFinding], facts: dict[str, Any]
) -> list[BatchCause]:
    """Return the one cause that all findings on outcomes share; none without findings.

    Args:
        facts: figures of the batch's outcomes, as words.describe_outcome_finding takes them.
    """
    if not findings:
        return []
    return [
        BatchCause(
            CONCEPT,
            "critical" if any(each.severity == "critical" for each in findings) else "warning",
            [each.subject for each in findings],
            describe_outcome_cause(contract, findings, facts),
            {each.subject: {**facts, "causes": each.causes} for each in findings},
        )
    ]


def _largest_move(comparisons: Sequence[Comparison]) -> tuple[str, str, float] | None:
    """Return the decision that lost most, the one that won most, and the share that moved.

    None where the share is below MOVED or decisions were not compared.
    """
    facts = next((each.facts for each in comparisons if each.feature == "decision"), None)
    if facts is None:
        return None
    now, before = facts["shares"], facts["baseline_shares"]
    change = {name: now.get(name, 0.0) - before.get(name, 0.0) for name in {*now, *before}}
    away, to = min(change, key=change.__getitem__), max(change, key=change.__getitem__)
    share = min(-change[away], change[to])
    return (away, to, share) if share >= MOVED else None
