"""The results of drift tests, before anything is decided."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DriftTest:
    """One test's figures; `p_value` is None where the test has none.

    `drifted_from` is the effect from which the test counts as drifted where there is no PSI.
    """

    name: str
    statistic: float
    effect: float
    threshold: float
    p_value: float | None = None
    drifted_from: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A feature's tests, and facts about both sides for the alert's message and evidence.

    `psi`, and `psi_noise`, the PSI that chance explains, are None for all inputs together.
    """

    feature: str
    tests: list[DriftTest]
    psi: float | None = None
    psi_noise: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    counts: list[int] | dict[str, int] | None = None
    """Rows of the batch by bin of the baseline, or by level; None for all inputs together."""

    @property
    def is_above_noise(self) -> bool:
        """Whether the PSI is above what chance explains; True where there is no PSI."""
        return self.psi is None or self.psi_noise is None or self.psi > self.psi_noise
