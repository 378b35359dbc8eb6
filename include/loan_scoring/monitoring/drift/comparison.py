"""Hold the results of drift tests before `decide.decide_drift` judges them."""

from dataclasses import dataclass, field
from typing import Any

OTHER = "other levels"
"""The group of the levels of a category that are not features of their own."""


@dataclass(frozen=True)
class DriftTest:
    """The figures of one drift test of one feature.

    `threshold` is the floor of the effect, because a smaller effect never raises an alert.
    `p_value` is None if the test has no p-value. `drifted_from` is the effect from which a joint
    test counts as drifted, because joint tests have no PSI. For all other tests, `drifted_from` is
    None.
    """

    name: str
    statistic: float
    effect: float
    threshold: float
    p_value: float | None = None
    drifted_from: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The drift tests of one feature, and facts for the message and evidence of an alert.

    `facts` describe the batch and the baseline. `psi_noise` is the PSI that chance alone can
    explain. `psi` and `psi_noise` are None for the joint tests of all inputs.
    """

    feature: str
    tests: list[DriftTest]
    psi: float | None = None
    psi_noise: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    counts: list[int] | dict[str, int] | None = None
    """Row counts of the batch per bin of the baseline, or per level. None for the joint tests."""
    profile: dict[str, Any] | None = None
    """The batch's values, independently of the baseline. None for the joint tests."""

    @property
    def is_above_noise(self) -> bool:
        """Return whether the PSI is above `psi_noise`. Return True if the feature has no PSI."""
        return self.psi is None or self.psi_noise is None or self.psi > self.psi_noise
