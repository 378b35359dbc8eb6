"""Write the text of a drift alert in plain words: its cause and the figures that show it."""

from collections.abc import Callable, Sequence
from typing import Any

from loan_scoring.contract import Contract
from loan_scoring.monitoring.alerts.causes import PREDICTION_LABELS
from loan_scoring.monitoring.drift.decide import DriftedFeature
from loan_scoring.monitoring.performance import ddm
from loan_scoring.monitoring.performance.outcome_tests import TARGET, DriftedOutcome

OPENING = {"bad_data": "Bad data", "population": "Other applicants than at training"}
MOST_NAMED = 3
"""Maximum number of columns that a message describes. The message only names further columns."""


def describe_cause(
    contract: Contract,
    cause: str,
    findings: Sequence[DriftedFeature],
    moved: tuple[str, str, float] | None,
) -> str:
    """Return the message on a cause: the columns that drifted most, and the changed decisions.

    Args:
        contract: contract with the labels of the columns.
        cause: `bad_data` or `population`.
        findings: columns that show the cause, the worst first.
        moved: decision whose share fell most, decision whose share rose most, and the share of the
            batch that changed from the first to the second. None if decisions hardly changed.
    """
    sentences = [describe_feature(contract, finding) for finding in findings[:MOST_NAMED]]
    more = [finding.comparison.feature for finding in findings[MOST_NAMED:]]
    if more:
        sentences.append(f"Also drifted: {', '.join(more)}")
    if moved is not None:
        away, to, share = moved
        sentences.append(f"{share:.1%} of the batch moves from {away} to {to}")
    return f"{OPENING[cause]}: {'. '.join(sentences)}"


def describe_feature(contract: Contract, finding: DriftedFeature) -> str:
    """Return one sentence on how much a feature of the batch differs from training."""
    feature, facts = finding.comparison.feature, finding.comparison.facts
    if finding.comparison.psi is None:
        return _describe_joint(contract, finding)
    column = contract.by_name.get(feature)
    label = column.label if column else PREDICTION_LABELS[feature]
    unit = f" {column.unit}" if column and column.unit else ""
    shown = column.shown_level if column else str
    parts = []
    if "null_share" in finding.failed_tests:
        parts.append(
            f"is missing in {facts['nulls']:.1%} of the batch against "
            f"{facts['baseline_nulls']:.1%} at training"
        )
    if "unseen_levels" in finding.failed_tests:
        share = sum(facts["shares"][level] for level in facts["unseen"])
        parts.append(
            f"has levels never seen at training: {', '.join(map(shown, facts['unseen']))} "
            f"({share:.1%})"
        )
    if "ks" in finding.failed_tests:
        parts.append(_describe_shift(facts, unit))
    if "chi_square" in finding.failed_tests:
        parts.append(_describe_mix(facts, shown))
    against = facts.get("usual", {}).get("against")
    compared = f", compared with {against}" if against else ""
    return f"{label} ({feature}) {'; '.join(parts)}; PSI {finding.comparison.psi:.3f}{compared}"


def feature_evidence(finding: DriftedFeature) -> dict[str, Any]:
    """Return the figures behind a finding as values that JSON can hold."""
    return {
        "psi": finding.comparison.psi,
        "psi_noise": finding.comparison.psi_noise,
        "causes": finding.failed_tests,
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


def describe_outcome_cause(
    contract: Contract, findings: Sequence[DriftedOutcome], facts: dict[str, Any]
) -> str:
    """Return the message of an alert on the outcomes of a batch.

    Args:
        contract: contract with the label of the target.
        findings: subjects that need an alert.
        facts: figures of the batch and of the hold-out, as `describe_outcome` lists them.
    """
    sentences = [describe_outcome(contract, each, facts) for each in findings]
    return f"Other defaults than at training: {'. '.join(sentences)}"


def describe_outcome(contract: Contract, finding: DriftedOutcome, facts: dict[str, Any]) -> str:
    """Return one sentence on how much the default rate or the model differs from the hold-out.

    Args:
        contract: contract with the label of the target.
        finding: subject that needs an alert, with the tests that it fails.
        facts: figures of the batch (`loans`, `default_rate`, `mean_probability`, `auc`, `ddm`) and
            of the hold-out (`holdout_auc`, `holdout_default_rate`).
    """
    observed = f"{facts['default_rate']:.1%} of {facts['loans']:,} loans"
    if finding.subject == TARGET:
        return (
            f"{contract.target.label} ({TARGET}) holds for {observed} against "
            f"{facts['holdout_default_rate']:.1%} on the hold-out"
        )
    parts = []
    if "auc_drop" in finding.failed_tests:
        parts.append(
            f"ranks worse than on the hold-out (AUC {facts['auc']:.3f} against "
            f"{facts['holdout_auc']:.3f})"
        )
    if "calibration" in finding.failed_tests:
        parts.append(
            f"predicted {facts['mean_probability']:.1%} defaults where {observed} defaulted"
        )
    if facts["ddm"] is not None and facts["ddm"] >= ddm.WARNING:
        parts.append(
            f"is wrong more often than at its best (DDM {ddm.ddm_level(facts['ddm'])}, "
            f"{facts['ddm']:.1f} standard deviations)"
        )
    return f"The default probability {'; '.join(parts)}"


def _describe_joint(contract: Contract, finding: DriftedFeature) -> str:
    facts, parts = finding.comparison.facts, []
    if "domain_classifier" in finding.failed_tests:
        labels = [contract.by_name[name].label for name in facts["told_by"]]
        parts.append(
            "a classifier separates the batch from the baseline with an AUC of "
            f"{facts['auc']:.2f}, mostly by {', '.join(labels[:3])}"
        )
    if "reconstruction" in finding.failed_tests:
        parts.append(
            "columns are correlated in another way than at training (reconstruction error "
            f"{facts['error']:.2f} against {facts['baseline_error']:.2f})"
        )
    return f"All inputs together ({finding.comparison.feature}): {'; '.join(parts)}"


def _describe_shift(facts: dict[str, Any], unit: str) -> str:
    now, before = facts["median"], facts["baseline_median"]
    medians = f"median {_figure(now)} against {_figure(before)}{unit} at training"
    change = now / before - 1 if before else 0.0
    if abs(change) < 0.005:
        return f"has another distribution than at training ({medians})"
    return (
        f"is {abs(change):.0%} {'higher' if change > 0 else 'lower'} than at training ({medians})"
    )


def _describe_mix(facts: dict[str, Any], shown: Callable[[str], str]) -> str:
    now, before = facts["shares"], facts["baseline_shares"]
    level = max(before, key=lambda each: abs(now.get(each, 0.0) - before[each]))
    return (
        f"is {shown(level)} in {now.get(level, 0.0):.1%} of the batch against {before[level]:.1%} "
        "at training"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
