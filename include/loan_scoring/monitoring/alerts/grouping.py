"""Group the findings of a batch by cause: bad data, other applicants, or other defaults."""

from collections.abc import Mapping, Sequence
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.monitoring.alerts.causes import BAD_DATA, CONCEPT, POPULATION, BatchCause
from loan_scoring.monitoring.alerts.words import (
    describe_cause,
    describe_outcome_cause,
    feature_evidence,
)
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import DriftedFeature
from loan_scoring.monitoring.performance.outcome_tests import (
    AUC_DROP,
    DEFAULT_RATE,
    TARGET,
    DriftedOutcome,
)

SIGNS_OF_BAD_DATA = {"null_share", "unseen_levels"}
MOVED = 0.005
"""Minimum change of decisions that the message of an alert mentions, as a share of the batch."""


def group_by_cause(
    contract: Contract,
    kinds: Mapping[str, str],
    findings: Sequence[DriftedFeature],
    comparisons: Sequence[Comparison],
) -> list[BatchCause]:
    """Return one entry for each cause that the drift of a batch shows.

    An input whose share of nulls changed, or which has levels unseen at training, shows `bad_data`.
    Any other drifted input shows `population`. Drift of predictions, and usually drift in the joint
    tests, follows from drift of single inputs. Such drift is therefore added to `bad_data` if an
    input shows `bad_data`, and to `population` otherwise.

    Args:
        contract: contract with the labels of the columns.
        kinds: drift kind of each feature: `data`, `joint` or `prediction`.
        findings: features of the batch that need an alert.
        comparisons: all comparisons of the batch. The comparison of `decision` shows how the
            decisions changed.
    """
    ranked = sorted(findings, key=lambda each: -(each.comparison.psi or 0.0))
    inputs = [each for each in ranked if kinds[each.comparison.feature] == "data"]
    outputs = [each for each in ranked if kinds[each.comparison.feature] != "data"]
    bad = [each for each in inputs if SIGNS_OF_BAD_DATA & set(each.failed_tests)]
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
            {each.comparison.feature: feature_evidence(each) for each in shown},
        )
        for cause, shown in ((BAD_DATA, bad), (POPULATION, other))
        if shown
    ]


def outcome_cause(
    contract: Contract, findings: Sequence[DriftedOutcome], facts: Mapping[str, Any]
) -> list[BatchCause]:
    """Return one entry with cause `concept` for all findings on a batch's outcomes.

    Return an empty list if there are no findings.

    Args:
        contract: contract with the label of the target.
        findings: subjects that need an alert.
        facts: figures of the batch's outcomes by test, as `words.describe_outcome` lists them.
    """
    if not findings:
        return []
    return [
        BatchCause(
            CONCEPT,
            "critical" if any(each.severity == "critical" for each in findings) else "warning",
            [each.subject for each in findings],
            describe_outcome_cause(contract, findings, facts),
            {
                each.subject: {
                    **facts[DEFAULT_RATE if each.subject == TARGET else AUC_DROP],
                    "causes": each.failed_tests,
                }
                for each in findings
            },
        )
    ]


def _largest_move(comparisons: Sequence[Comparison]) -> tuple[str, str, float] | None:
    """Return the largest change of decisions between the baseline and the batch.

    The result is the decision whose share fell most, the decision whose share rose most, and the
    share of the batch that changed from the first to the second. Return None if this share is below
    MOVED or if decisions were not compared.
    """
    facts = next((each.facts for each in comparisons if each.feature == "decision"), None)
    if facts is None:
        return None
    now, before = facts["shares"], facts["baseline_shares"]
    change = {name: now.get(name, 0.0) - before.get(name, 0.0) for name in {*now, *before}}
    away, to = min(change, key=change.__getitem__), max(change, key=change.__getitem__)
    share = min(-change[away], change[to])
    return (away, to, share) if share >= MOVED else None
