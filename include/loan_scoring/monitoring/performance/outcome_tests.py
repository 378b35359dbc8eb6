"""Test whether a batch's outcomes differ from the hold-out's, and decide what needs an alert."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from loan_scoring.contract import PerformancePolicy
from loan_scoring.monitoring.drift.comparison import DriftTest
from loan_scoring.monitoring.drift.decide import TestVerdict
from loan_scoring.monitoring.drift.statistical_tests import null_share
from loan_scoring.monitoring.performance import ddm
from loan_scoring.statistics.auc import delong
from loan_scoring.statistics.fairness import Z95
from loan_scoring.statistics.multiple_tests import benjamini_hochberg

MODEL, TARGET = "default_probability", "is_default"
"""The feature names of tests of kind `model` and of kind `target` in table `drift`."""
KINDS = {MODEL: "model", TARGET: "target"}
MIN_EACH = 30
"""Minimum number of defaults, and also of paid loans, for a test.

For `auc_drop` the observed numbers count. For `calibration` and `default_rate` the expected numbers
count. With smaller numbers the test is left out, because its normal approximation does not hold.
"""


@dataclass(frozen=True)
class DriftedOutcome:
    """A subject, MODEL or TARGET, that needs an alert, with the names of its failed tests."""

    subject: str
    severity: str
    failed_tests: list[str]


def outcome_tests(
    policy: PerformancePolicy,
    holdout: Mapping[str, Any],
    y: np.ndarray,
    probability: np.ndarray,
    ddm_distance: float,
) -> list[tuple[str, DriftTest]]:
    """Run every test of a batch's outcomes for which the batch has enough loans.

    Return each test with its subject, MODEL or TARGET.

    Args:
        policy: performance policy with the floors of the tests.
        holdout: column `metrics` in table `models`, of the model that scored the batch.
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        ddm_distance: largest DDM distance within the batch, nan if the stream is too short.
    """
    found: list[tuple[str, DriftTest]] = []
    error = standard_error(holdout.get("intervals", {}).get("auc"))
    defaults = int(y.sum())
    if error is not None and min(defaults, len(y) - defaults) >= MIN_EACH:
        found.append((MODEL, auc_drop(holdout["auc"], error, y, probability, policy.auc_floor)))
    if min(probability.sum(), (1 - probability).sum()) >= MIN_EACH:
        found.append((MODEL, calibration_in_the_large(y, probability, policy.calibration_floor)))
    if np.isfinite(ddm_distance):
        found.append((MODEL, DriftTest("ddm", ddm_distance, ddm_distance, ddm.DRIFT)))
    rate, rows = holdout.get("default_rate"), holdout.get("rows")
    if rate is not None and rows is not None and min(rate, 1 - rate) * len(y) >= MIN_EACH:
        known = round(rate * rows)
        found.append((TARGET, default_rate(known, rows, y, policy.default_rate_floor)))
    return found


def auc_drop(
    holdout_auc: float, holdout_error: float, y: np.ndarray, probability: np.ndarray, floor: float
) -> DriftTest:
    """Test with a one-sided z-test whether the batch's AUC is below the hold-out's AUC.

    The test is one-sided because a higher AUC is no drift. The standard error of the batch's AUC
    is calculated by DeLong's method. Source: Hanley, McNeil (1982), Radiology 143, 29-36,
    comparison of two independent areas.
    """
    auc, error = delong(y, probability)
    drop = holdout_auc - auc
    z = drop / float(np.hypot(error, holdout_error))
    return DriftTest("auc_drop", z, drop, floor, float(norm.sf(z)))


def calibration_in_the_large(y: np.ndarray, probability: np.ndarray, floor: float) -> DriftTest:
    """Test with a two-sided z-test whether as many loans defaulted as the probabilities predict.

    If each loan defaults with its own probability p, the variance of the number of defaults is the
    sum of p (1 - p). z is the observed minus the expected number of defaults, divided by the
    square root of this variance. Source: Hosmer, Hjort (2002), Statistics in Medicine 21,
    2723-2738, and Steyerberg (2019), "Clinical prediction models", chapter 15, calibration in the
    large.
    """
    difference = float(np.mean(y) - np.mean(probability))
    z = difference * len(y) / float(np.sqrt(np.sum(probability * (1 - probability))))
    return DriftTest("calibration", z, abs(difference), floor, float(2 * norm.sf(abs(z))))


def default_rate(
    holdout_defaults: int, holdout_rows: int, y: np.ndarray, floor: float
) -> DriftTest:
    """Test with a two-proportion z-test whether the default rate differs from the hold-out's."""
    difference, p_value = null_share(holdout_defaults, holdout_rows, int(y.sum()), len(y))
    return DriftTest("default_rate", difference, abs(difference), floor, p_value)


def standard_error(interval: list[float] | None) -> float | None:
    """Return the standard error that belongs to a 95 % interval.

    Return None if the interval is None.

    The function is used for the hold-out's AUC, because only the bootstrap interval of that AUC is
    stored. With 300 resamples the standard error is accurate to 7 %. This is enough because the
    standard error of the hold-out's AUC is smaller than the standard error of the batch's AUC.
    """
    return None if interval is None else (interval[1] - interval[0]) / (2 * Z95)


def judge_outcomes(
    policy: PerformancePolicy, q: float, found: list[tuple[str, DriftTest]]
) -> tuple[list[TestVerdict], list[DriftedOutcome]]:
    """Return a verdict on every test of a batch's outcomes, and the subjects that need an alert.

    A test fails if its p-value, adjusted by Benjamini-Hochberg, is below `q` and its effect is at
    or above its floor. A failed test has level `attention`. If its effect is at least
    `drifted_from` times the floor, the level is `drifted`. A subject needs an alert if one of its
    tests fails.

    DDM has no p-value, and would raise too many alerts if it could raise alerts alone
    (docs/adr/0014). DDM therefore gets the level `attention` only if its distance reaches the floor
    and another test of the same subject fails.

    Args:
        policy: performance policy with the factor `drifted_from`.
        q: limit of the adjusted p-values.
        found: each test with its subject, from `outcome_tests`.
    """
    places = [place for place, (_, test) in enumerate(found) if test.p_value is not None]
    p_adjusted = dict(
        zip(
            places,
            benjamini_hochberg(np.array([found[place][1].p_value for place in places])).tolist(),
            strict=True,
        )
    )
    levels = ["stable"] * len(found)
    for place, p in p_adjusted.items():
        test = found[place][1]
        if p < q and test.effect >= test.threshold:
            is_drifted = test.effect >= policy.drifted_from * test.threshold
            levels[place] = "drifted" if is_drifted else "attention"
    findings = []
    for subject in KINDS:
        failed = [
            (found[place][1].name, levels[place])
            for place in places
            if found[place][0] == subject and levels[place] != "stable"
        ]
        if failed:
            severity = "critical" if "drifted" in dict(failed).values() else "warning"
            findings.append(DriftedOutcome(subject, severity, [name for name, _ in failed]))
    caused = {finding.subject for finding in findings}
    for place, (subject, test) in enumerate(found):
        if test.p_value is None and subject in caused and test.effect >= test.threshold:
            levels[place] = "attention"
    verdicts = [
        TestVerdict(subject, test, p_adjusted.get(place), levels[place])
        for place, (subject, test) in enumerate(found)
    ]
    return verdicts, findings
