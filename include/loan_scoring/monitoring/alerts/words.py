"""Write the text of a drift alert in plain words: its cause and the figures that show it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from loan_scoring.contract import Column, Contract
from loan_scoring.contract.outcomes import ALL_LOANS
from loan_scoring.counted import described
from loan_scoring.monitoring.alerts.causes import COMPARED, compared_name
from loan_scoring.monitoring.drift.comparison import OTHER
from loan_scoring.monitoring.drift.decide import DriftedFeature
from loan_scoring.monitoring.performance.outcome_tests import (
    AUC_DROP,
    DEFAULT_RATE,
    TARGET,
    DriftedOutcome,
)

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
    more = [compared_name(contract, each.comparison.feature) for each in findings[MOST_NAMED:]]
    if more:
        sentences.append(f"{_listed(more)} {'differs' if len(more) == 1 else 'differ'} too")
    if moved is not None:
        away, to, share = moved
        sentences.append(f"{share:.1%} of the batch moves from {away} to {to}")
    return f"{OPENING[cause]}: {'. '.join(sentences)}"


def _listed(names: Sequence[str]) -> str:
    """Join the names of a sentence.

    >>> _listed(["Income", "The decision", "All inputs together"])
    'Income, the decision and all inputs together'
    """
    lower = [each[0].lower() + each[1:] if each in COMPARED.values() else each for each in names]
    lower[0] = names[0]
    return " and ".join(filter(None, (", ".join(lower[:-1]), lower[-1])))


def describe_feature(contract: Contract, finding: DriftedFeature) -> str:
    """Return one sentence on how much a feature of the batch differs from training."""
    feature, facts = finding.comparison.feature, finding.comparison.facts
    if finding.comparison.psi is None:
        return _describe_joint(contract, finding)
    column = contract.by_name.get(feature)
    label = column.label if column else COMPARED[feature]
    unit = f" {column.unit}" if column and column.unit else ""
    shown = partial(_shown_level, column) if column else str
    parts = []
    if "null_share" in finding.failed_tests:
        fuller = "" if has_more_nulls(finding) else "filled in more often: "
        parts.append(
            f"is {fuller}missing in {facts['nulls']:.1%} of the batch against "
            f"{facts['baseline_nulls']:.1%} at training"
        )
    if "unseen_levels" in finding.failed_tests:
        parts.append(_describe_unseen(facts, shown))
    if "calendar" in finding.failed_tests:
        parts.append(
            f"is {', '.join(facts['values_out_of_time'])} in {facts['out_of_time']:.1%} of the "
            "batch, which is neither the time of the batch nor a value of the training"
        )
    if {"ks", "rank_sum"} & set(finding.failed_tests):
        parts.append(_describe_shift(facts, unit))
    if {"chi_square", "rare_levels"} & set(finding.failed_tests):
        parts.append(_describe_mix(facts, shown))
    against = facts.get("usual", {}).get("against")
    compared = f", compared with {against}" if against else ""
    psi = f"corrected PSI {finding.comparison.psi:.3f}"
    return f"{label} ({feature}) {'; '.join(parts)}; {psi}{compared}"


def has_more_nulls(finding: DriftedFeature) -> bool:
    """Return whether a finding is about nulls, and the batch has more of them than the baseline."""
    facts = finding.comparison.facts
    return "null_share" in finding.failed_tests and facts["nulls"] > facts["baseline_nulls"]


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
    contract: Contract, findings: Sequence[DriftedOutcome], facts: Mapping[str, Any]
) -> str:
    """Return the message of an alert on the outcomes of a batch.

    Args:
        contract: contract with the label of the target.
        findings: subjects that need an alert.
        facts: figures of the batch, as `describe_outcome` lists them, and its `segments` that
            stand out.
    """
    sentences = [describe_outcome(contract, each, facts) for each in findings]
    if facts["segments"]:
        shown = [
            f"{each['segment']} ({each['default_rate']:.1%} of {each['outcomes']:,} loans, "
            f"{each['expected_of_outcomes']:.1%} expected)"
            for each in facts["segments"][:MOST_NAMED]
        ]
        sentences.append(f"Segments that stand out: {', '.join(shown)}")
    return f"Other defaults than expected of these loans: {'. '.join(sentences)}"


def describe_outcome(contract: Contract, finding: DriftedOutcome, facts: Mapping[str, Any]) -> str:
    """Return one sentence on how much defaults or the ranking differ from what was expected.

    The hold-out's figure stands beside it as context. It decides nothing.

    Args:
        contract: contract with the label of the target.
        finding: subject that needs an alert, with the tests that it fails.
        facts: figures by test, `default_rate` and `auc_drop`: those of the batch (`loans`,
            `observed`, `expected`, `holdout`), and those of the nights since the sum was last 0
            (`nights`, `loans_over_nights`, `observed_over_nights`, `expected_over_nights`).
    """
    loans = "loans" if contract.outcomes.known_for == ALL_LOANS else "funded loans"
    if finding.subject == TARGET:
        figures = facts[DEFAULT_RATE]
        parts = []
        if DEFAULT_RATE in finding.failed_tests:
            observed, expected = (
                figures[key] / figures["loans"] for key in ("observed", "expected")
            )
            parts.append(
                f"holds for {observed:.1%} of {figures['loans']:,} {loans}, where {expected:.1%} "
                f"were expected{_on_holdout(figures, '.1%')}"
            )
        if len(finding.failed_tests) > len(parts):
            parts.append(
                f"{_last_nights(figures)} {figures['observed_over_nights']:,.0f} of "
                f"{figures['loans_over_nights']:,} {loans} defaulted where "
                f"{figures['expected_over_nights']:,.0f} were expected"
            )
        return f"{contract.target.label} ({TARGET}): {'; '.join(parts)}"
    figures = facts[AUC_DROP]
    parts = []
    if AUC_DROP in finding.failed_tests:
        parts.append(
            f"ranks these {loans} worse than expected (AUC {figures['observed']:.3f} against "
            f"{figures['expected']:.3f}{_on_holdout(figures, '.3f')})"
        )
    if len(finding.failed_tests) > len(parts):
        parts.append(
            f"{_last_nights(figures)} AUC {figures['observed_over_nights']:.3f} on "
            f"{figures['loans_over_nights']:,} {loans} where "
            f"{figures['expected_over_nights']:.3f} was expected"
        )
    return f"The default probability: {'; '.join(parts)}"


def _last_nights(figures: Mapping[str, Any]) -> str:
    nights = figures["nights"]
    return "in the last night" if nights == 1 else f"over the last {nights} nights"


def _on_holdout(figures: Mapping[str, Any], form: str) -> str:
    return "" if figures["holdout"] is None else f"; {figures['holdout']:{form}} on the hold-out"


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
    return f"All inputs together: {'; '.join(parts)}"


def _describe_shift(facts: dict[str, Any], unit: str) -> str:
    now, before = facts["median"], facts["baseline_median"]
    medians = f"median {_figure(now)} against {_figure(before)}{unit} at training"
    change = now / before - 1 if before else 0.0
    if abs(change) < 0.005:
        return f"has another distribution than at training ({medians})"
    return (
        f"is {abs(change):.0%} {'higher' if change > 0 else 'lower'} than at training ({medians})"
    )


def _shown_level(column: Column, level: str) -> str:
    """Return a level that the contract declares, and of any other text only a description."""
    declared = column.levels if isinstance(column.levels, list) else ()
    is_declared = column.type != "category" or level in column.level_labels or level in declared
    if is_declared or level == OTHER:
        return column.shown_level(level)
    return f"a text of {described(level)}"


def _describe_unseen(facts: dict[str, Any], shown: Callable[[str], str]) -> str:
    names = list(dict.fromkeys(map(shown, facts["unseen"][:MOST_NAMED])))
    named, more = ", ".join(names), facts["unseen_levels"] - len(names)
    usual = facts["usual_unseen_share"]
    return (
        f"has levels never seen at training: {named}{f' and {more:,} more' if more > 0 else ''} "
        f"({facts['unseen_share']:.1%}{f', usually {usual:.1%}' if usual >= 0.0005 else ''})"
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
