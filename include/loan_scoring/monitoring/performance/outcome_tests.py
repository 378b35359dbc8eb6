"""Test whether a batch's outcomes differ from what was expected of the same loans.

What is expected follows from the default probabilities of these loans, corrected by the calibration
curve of the model's hold-out. So other applicants than on the hold-out, or outcomes of approved
loans only, are no difference. A difference means that similar applicants default more or less often
than the model says, or in another order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from loan_scoring.contract import PerformancePolicy
from loan_scoring.monitoring.drift.comparison import DriftTest
from loan_scoring.monitoring.drift.decide import TestVerdict
from loan_scoring.monitoring.performance.sequential import Increment, night_increment
from loan_scoring.statistics.auc import auc, expected_auc
from loan_scoring.statistics.calibration import at_rate
from loan_scoring.statistics.calibration_curve import CalibrationCurve
from loan_scoring.statistics.multiple_tests import benjamini_hochberg
from loan_scoring.statistics.weighted_sums import auc_weights, sum_variance

MODEL, TARGET = "default_probability", "is_default"
"""The feature names of tests of kind `model` and of kind `target` in table `drift`."""
KINDS = {MODEL: "model", TARGET: "target"}
AUC_DROP, DEFAULT_RATE = "auc_drop", "default_rate"
SUBJECTS = {AUC_DROP: MODEL, DEFAULT_RATE: TARGET}
"""The subject of each test of one night."""
MIN_EACH = 30
"""Minimum number of expected defaults, and also of expected paid loans, for a test of one night.

With smaller numbers the test is left out, because its normal approximation does not hold. The tests
that accumulate over nights need no minimum.
"""


@dataclass(frozen=True)
class DriftedOutcome:
    """A subject, MODEL or TARGET, that needs an alert, with the names of its failed tests."""

    subject: str
    severity: str
    failed_tests: list[str]


@dataclass(frozen=True)
class NightOutcome:
    """What a night's outcomes say on the default rate or on the AUC.

    `observed` and `expected` are numbers of defaults for DEFAULT_RATE, and AUCs for AUC_DROP.
    `error` is the standard error of their difference without a shift. `floor` is the smallest
    `difference` that counts. `rise` and `fall` are what the night adds to the sums over nights. A
    rise of the AUC is no drift, so AUC_DROP has no `rise`.
    """

    test: str
    loans: int
    observed: float
    expected: float
    error: float
    floor: float
    rise: Increment | None
    fall: Increment

    @property
    def difference(self) -> float:
        """Return observed minus expected, for DEFAULT_RATE as a share of the loans."""
        unit = self.loans if self.test == DEFAULT_RATE else 1
        return (self.observed - self.expected) / unit


def night_outcomes(
    policy: PerformancePolicy, curve: CalibrationCurve, y: np.ndarray, probability: np.ndarray
) -> list[NightOutcome]:
    """Return what a night's outcomes say on AUC and default rate, with what was expected of both.

    Args:
        policy: performance policy with the floors and the default correlation.
        curve: calibration curve of the model's hold-out.
        y: outcomes, 1 for default, shape (rows,) with at least one row.
        probability: predicted probabilities, shape (rows,).
    """
    rows, true = len(y), curve.corrected(probability)
    rate = float(true.mean())
    weights = np.ones(rows)
    variance = sum_variance(probability, true, curve, policy.default_correlation, weights)
    floor = policy.rate_floor(rate)
    defaults = NightOutcome(
        DEFAULT_RATE,
        rows,
        float(y.sum()),
        float(true.sum()),
        variance.total**0.5,
        floor,
        night_increment(y, true, weights, variance, floor * rows),
        night_increment(y, true, -weights, variance, floor * rows),
    )
    return [*_area(policy, curve, y, probability, true), defaults]


def _area(
    policy: PerformancePolicy,
    curve: CalibrationCurve,
    y: np.ndarray,
    probability: np.ndarray,
    true: np.ndarray,
) -> list[NightOutcome]:
    """Return what the outcomes say on the AUC, as a list.

    The list is empty if the loans have only one outcome.

    The AUC is expected at the night's own default rate: the log-odds of all loans are moved by one
    number, so that as many defaults are expected as there are. So a night in bad times, which
    DEFAULT_RATE judges, is no change of the AUC, and correlated defaults hardly move the
    difference. The weights are those of the AUC less their mean, because such a move can no longer
    change the difference.
    """
    if not 0 < y.sum() < len(y):
        return []
    levelled = at_rate(true, float(y.sum()))
    own = levelled * (1 - levelled)
    weights = auc_weights(probability, levelled)
    weights = weights - float((weights * own).sum() / own.sum())
    variance = sum_variance(probability, levelled, curve, policy.default_correlation, weights)
    return [
        NightOutcome(
            AUC_DROP,
            len(y),
            auc(y, probability),
            expected_auc(probability, levelled),
            variance.total**0.5,
            policy.auc_floor,
            None,
            night_increment(y, levelled, -weights, variance, policy.auc_floor),
        )
    ]


def tests_of_night(night: Sequence[NightOutcome]) -> list[tuple[str, DriftTest]]:
    """Return the tests of one night for which it has enough loans, each with its subject.

    `default_rate` is a two-sided z-test of the number of defaults. `auc_drop` is a one-sided z-test
    of the AUC, because a higher AUC is no drift.
    """
    rate = next((each for each in night if each.test == DEFAULT_RATE), None)
    if rate is None or min(rate.expected, rate.loans - rate.expected) < MIN_EACH:
        return []
    return [(SUBJECTS[each.test], _z_test(each)) for each in night if each.error > 0]


def _z_test(night: NightOutcome) -> DriftTest:
    z = (night.observed - night.expected) / night.error
    if night.test == AUC_DROP:
        return DriftTest(AUC_DROP, -z, -night.difference, night.floor, float(norm.sf(-z)))
    p_value = float(2 * norm.sf(abs(z)))
    return DriftTest(DEFAULT_RATE, z, abs(night.difference), night.floor, p_value)


def outcome_tests(
    policy: PerformancePolicy, curve: CalibrationCurve, y: np.ndarray, probability: np.ndarray
) -> list[tuple[str, DriftTest]]:
    """Return the tests of one batch's outcomes, each with its subject, MODEL or TARGET.

    Arguments are those of `night_outcomes`.
    """
    return tests_of_night(night_outcomes(policy, curve, y, probability))


def judge_outcomes(
    policy: PerformancePolicy, q: float, found: list[tuple[str, DriftTest]]
) -> list[TestVerdict]:
    """Return a verdict on every test of a batch's outcomes.

    A test fails if its p-value, adjusted by Benjamini-Hochberg, is below `q` and its effect is at
    or above its floor. A failed test has level `attention`. If its effect is at least
    `drifted_from` times the floor, the level is `drifted`.

    Args:
        policy: performance policy with the factor `drifted_from`.
        q: limit of the adjusted p-values.
        found: each test with its subject, from `outcome_tests`.
    """
    adjusted = benjamini_hochberg(np.array([test.p_value for _, test in found]))
    return [
        TestVerdict(
            subject,
            test,
            p,
            level_of(policy, test.effect, test.threshold, p < q and test.effect >= test.threshold),
        )
        for (subject, test), p in zip(found, adjusted.tolist(), strict=True)
    ]


def level_of(policy: PerformancePolicy, effect: float, floor: float, is_failed: bool) -> str:
    """Return the level of a test of outcomes: `stable`, `attention` or `drifted`."""
    if not is_failed:
        return "stable"
    return "drifted" if effect >= policy.drifted_from * floor else "attention"


def drifted_outcomes(levels: Mapping[tuple[str, str], str]) -> list[DriftedOutcome]:
    """Return the subjects that need an alert, because one of their tests is not stable.

    Args:
        levels: level of each test, by subject and name of the test.
    """
    found = []
    for subject in KINDS:
        failed = {
            test: level
            for (of, test), level in levels.items()
            if of == subject and level != "stable"
        }
        if failed:
            severity = "critical" if "drifted" in failed.values() else "warning"
            found.append(DriftedOutcome(subject, severity, [*failed]))
    return found
