"""Decide which features of a batch have drifted, after adjusting the p-values of all tests."""

from dataclasses import dataclass

import numpy as np

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.statistics.multiple_tests import benjamini_hochberg


@dataclass(frozen=True)
class TestVerdict:
    """One test of one feature, with the adjusted p-value and the level.

    The level is `stable`, `attention` or `drifted`. `p_adjusted` is None if the test has no
    p-value.
    """

    feature: str
    test: DriftTest
    p_adjusted: float | None
    level: str


@dataclass(frozen=True)
class DriftedFeature:
    """A feature that needs an alert. `failed_tests` are the names of its failed tests."""

    comparison: Comparison
    severity: str
    failed_tests: list[str]


def decide_drift(
    policy: MonitoringPolicy, comparisons: list[Comparison]
) -> tuple[list[TestVerdict], list[DriftedFeature]]:
    """Return a verdict on every test of a batch, and the features that need an alert.

    A test of a feature fails if its adjusted p-value is below `q` and its effect is at or above its
    threshold. A feature needs an alert if at least one of its tests fails. The adjustment keeps the
    false discovery rate at `q`: the expected share of false findings among the significant tests.
    If nothing drifted every finding is false, and `q` is then the nominal chance of any alert.

    The alert is critical if the corrected PSI reaches `psi_drifted`. Without a PSI, the alert is
    critical if the effect of a failed test reaches the test's `drifted_from`.

    A failed test has level `drifted` if the alert is critical, and `attention` otherwise. The level
    of the PSI depends only on the PSI, its noise, `psi_attention` and `psi_drifted`.
    """
    places = [
        (comparison.feature, test)
        for comparison in comparisons
        for test in comparison.tests
        if test.p_value is not None
    ]
    adjusted = benjamini_hochberg(np.array([test.p_value for _, test in places]))
    p_adjusted = {
        (feature, test.name): float(p) for (feature, test), p in zip(places, adjusted, strict=True)
    }
    verdicts: list[TestVerdict] = []
    findings: list[DriftedFeature] = []
    for comparison in comparisons:
        feature = comparison.feature
        failed = [
            test
            for test in comparison.tests
            if p_adjusted.get((feature, test.name), 1.0) < policy.q
            and test.effect >= test.threshold
        ]
        is_critical = _is_critical(policy, comparison, failed)
        for test in comparison.tests:
            p = p_adjusted.get((feature, test.name))
            if test.name == "psi":
                level = _band(policy, test.effect) if comparison.is_above_noise else "stable"
            elif test in failed or (p is None and failed and test.effect >= test.threshold):
                level = "drifted" if is_critical else "attention"
            else:
                level = "stable"
            verdicts.append(TestVerdict(feature, test, p, level))
        if failed:
            severity = "critical" if is_critical else "warning"
            findings.append(DriftedFeature(comparison, severity, [test.name for test in failed]))
    return verdicts, findings


def _is_critical(policy: MonitoringPolicy, comparison: Comparison, failed: list[DriftTest]) -> bool:
    if comparison.psi is not None:
        return comparison.psi >= policy.psi_drifted
    return any(
        test.drifted_from is not None and test.effect >= test.drifted_from for test in failed
    )


def _band(policy: MonitoringPolicy, index: float) -> str:
    if index < policy.psi_attention:
        return "stable"
    return "attention" if index < policy.psi_drifted else "drifted"
