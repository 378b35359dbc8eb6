"""Hold a model between its fit and its registration."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FittedModel:
    """A fitted model that is ready to be registered. The model has no version yet."""

    kind: str
    estimator: Any
    parameters: dict[str, Any]
    features: list[str]
    metrics: dict[str, Any]
    algorithm: str
    baseline: dict[str, Any] | None = None
    baseline_sample: bytes | None = None
    leaks: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
