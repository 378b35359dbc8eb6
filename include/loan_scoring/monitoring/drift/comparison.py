"""What tests find of a column, or of all inputs together, before anything is decided."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DriftTest:
    """One test's figures; `p_value` is None where the test has none.

    `drifted_from` is the effect from which a test without a PSI beside it is in the upper band.
    """

    name: str
    statistic: float
    effect: float
    threshold: float
    p_value: float | None = None
    drifted_from: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A feature's tests, and what a person would want to know of the two sides.

    `psi` and what chance explains of it are None where bins have no meaning: all inputs together.
    """

    feature: str
    tests: list[DriftTest]
    psi: float | None = None
    psi_noise: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    counts: list[int] | dict[str, int] | None = None
    """Rows of the batch by bin of the baseline's edges, or by level; None of inputs together."""

    @property
    def is_above_noise(self) -> bool:
        """Whether the PSI is above what chance explains, or there is none to ask."""
        return self.psi is None or self.psi_noise is None or self.psi > self.psi_noise
