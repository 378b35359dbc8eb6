"""Hold the joint tests of a night against the joint tests of earlier nights of the same model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.joint import JointBaseline
from loan_scoring.monitoring.drift.joint_tests import FOLDS
from loan_scoring.monitoring.drift.usual import Usual, fit_usual
from loan_scoring.monitoring.drift.usual_nights import against


@dataclass(frozen=True)
class JointNight:
    """The statistics of the joint tests of one night."""

    day: date
    rows: int
    """Number of rows of the batch that the tests took."""
    auc: float
    z: float
    """Statistic of the reconstruction error."""


@dataclass(frozen=True)
class UsualJoint:
    """What is usual tonight for the joint tests, by earlier nights of the same model."""

    auc: Usual
    error: Usual
    """Of the difference of mean reconstruction errors, in standard deviations of an error."""
    baseline_errors: int
    weekday: int
    days: Sequence[date]

    def judged(self, compared: Comparison) -> Comparison:
        """Return the joint tests with effects from the weekday's values and p-values of nights.

        The p-value of a test is that of the test or that of the nights, whichever is larger. The
        statistic stays as it was.
        """
        rows = compared.facts["rows"]
        tests = []
        for test in compared.tests:
            if test.name == "domain_classifier":
                above = test.statistic - 0.5 - self.auc.shift[0]
                p = self.auc.p_values(np.array([above]), np.array([auc_noise(rows)]))[0]
                one_sided = p / 2 if above > 0 else 1 - p / 2
                tests.append(_raised(test, max(above, 0.0), one_sided))
            else:
                noise = error_noise(rows, self.baseline_errors)
                difference = test.statistic * noise**0.5 - self.error.shift[0]
                p = self.error.p_values(np.array([difference]), np.array([noise]))[0]
                tests.append(_raised(test, abs(difference), p))
        varies, has_cycle = (
            any(getattr(each, name) for each in (self.auc, self.error))
            for name in ("varies", "has_cycle")
        )
        usual = {
            "against": against(self.weekday, self.days, has_cycle) if varies else None,
            "nights": len(self.days),
        }
        return replace(compared, tests=tests, facts={**compared.facts, "usual": usual})


def usual_joint(
    policy: MonitoringPolicy, joint: JointBaseline, nights: Sequence[JointNight], weekday: int
) -> UsualJoint | None:
    """Return what is usual for the joint tests. Return None if there are too few nights.

    Args:
        policy: minimum and maximum number of nights.
        joint: baseline of the joint tests, the same as in `nights`.
        nights: statistics of earlier nights, in ascending order of the dates.
        weekday: weekday of tonight, 0 is Monday.
    """
    nights = nights[-policy.usual_nights :]
    if len(nights) < policy.least_nights:
        return None
    days = [each.day for each in nights]
    errors = len(joint.errors)
    noise = np.array([[error_noise(each.rows, errors)] for each in nights])
    return UsualJoint(
        fit_usual(
            days, weekday, np.array([[each.auc] for each in nights]),
            np.array([[auc_noise(each.rows)] for each in nights]), np.array([0.5]),
        ),
        fit_usual(
            days, weekday, np.array([[each.z] for each in nights]) * noise**0.5, noise,
            np.zeros(1),
        ),
        errors,
        weekday,
        days,
    )  # fmt: skip


def auc_noise(rows: int) -> float:
    """Return the variance of the AUC without drift, as the domain classifier's test assumes it.

    The test takes the mean of the halves' z values as if its variance were one. Source: Hanley,
    McNeil (1982), "The meaning and use of the area under a ROC curve", without ties.
    """
    half = rows / FOLDS
    return (2 * half + 1) / (12 * half**2)


def error_noise(rows: int, baseline_rows: int) -> float:
    """Return the variance of the difference of mean errors, in variances of an error."""
    return 1 / rows + 1 / baseline_rows


def _raised(test: DriftTest, effect: float, p_nights: float) -> DriftTest:
    p_value = max(test.p_value if test.p_value is not None else 1.0, float(p_nights))
    return replace(test, effect=float(effect), p_value=p_value)
