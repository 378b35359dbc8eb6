"""Define conditions on rows: exclusions, which are not scored, and ratios, which must hold."""

from typing import Self

from pydantic import field_validator, model_validator

from loan_scoring.contract.columns import NAME
from loan_scoring.contract.parts import ContractPart, Positive


class Exclusion(ContractPart):
    """A condition on a column for which an application is not scored.

    The decision on such an application is `refer`.
    """

    reason: str
    """A code for the reason."""
    label: str
    """The reason in words."""
    column: str
    """The column that is tested, known at application."""
    is_null: bool = False
    """Exclude if the column is null."""
    equals: str | None = None
    """Exclude if the column has this level."""

    @field_validator("reason")
    @classmethod
    def _is_identifier(cls, reason: str) -> str:
        if not NAME.fullmatch(reason):
            raise ValueError(
                f"'{reason}' is not a valid reason code: use lower-case letters, digits and _"
            )
        return reason

    @model_validator(mode="after")
    def _has_one_condition(self) -> Self:
        if self.is_null == (self.equals is not None):
            raise ValueError("an exclusion needs either is_null: true or equals: LEVEL")
        return self


class Ratio(ContractPart):
    """A rule: `column` must equal scale x numerator / denominator, within a relative tolerance.

    A row that breaks the rule goes to quarantine.
    """

    name: str
    """The name of the rule, as in quarantine."""
    column: str
    """The column that must equal `scale` x `numerator` / `denominator`."""
    numerator: str
    """A column."""
    denominator: str
    """A column."""
    scale: float = 1.0
    """A factor, such as 100 for percent."""
    tolerance: Positive
    """How far the value may be off, relative to the expected one."""
