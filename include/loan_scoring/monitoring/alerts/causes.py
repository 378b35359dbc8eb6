"""Put what drifted in a batch down to its cause: bad data, or another population."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.monitoring.alerts.words import describe_cause, finding_evidence
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.decide import DriftFinding

BAD_DATA, POPULATION, CONCEPT = "bad_data", "population", "concept"
CAUSES = (BAD_DATA, POPULATION, CONCEPT)
"""bad_data: values are missing or were never seen; population: other people apply; concept: the
same people default otherwise."""

SIGNS_OF_BAD_DATA = {"null_share", "unseen_levels"}
MOVED = 0.005
"""Share of a batch that must change its decision to be worth a word."""


@dataclass(frozen=True)
class BatchCause:
    """One cause in one batch: the columns that show it, the worst first, and the words for it."""

    cause: str
    severity: str
    subjects: list[str]
    message: str
    evidence: dict[str, Any]


def group_by_cause(
    contract: Contract,
    kinds: Mapping[str, str],
    findings: Sequence[DriftFinding],
    comparisons: Sequence[Comparison],
) -> list[BatchCause]:
    """Return one entry for each cause that the findings of a batch show.

    Scores, decisions and personas that drift are what inputs that drift lead to, and so, mostly,
    are all inputs together: they are told with the cause, that of bad data where there is one. On
    their own they are another population.

    Args:
        kinds: the drift kind of each feature: data, joint or prediction.
        comparisons: all of the batch; how the decisions have moved is read from them.
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
    moved = _moved(comparisons)
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


def _moved(comparisons: Sequence[Comparison]) -> tuple[str, str, float] | None:
    """Return from which decision to which most of the batch has moved, and how large a share."""
    facts = next((each.facts for each in comparisons if each.feature == "decision"), None)
    if facts is None:
        return None
    now, before = facts["shares"], facts["baseline_shares"]
    change = {word: now.get(word, 0.0) - before.get(word, 0.0) for word in {*now, *before}}
    away, to = min(change, key=change.__getitem__), max(change, key=change.__getitem__)
    share = min(-change[away], change[to])
    return (away, to, share) if share >= MOVED else None
