"""Define how a labelled file is replayed as nights, and the scenarios of drift."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from loan_scoring.contract.business_dates import read_date
from loan_scoring.contract.parts import ContractPart, Positive, Share


class Scenario(ContractPart):
    """A change to the data of a night, with which replay simulates drift."""

    label: str
    """What drifts, in words."""
    kind: Literal[
        "multiply", "move_level", "blank", "new_level", "worsen_outcomes", "shuffle_outcomes"
    ]
    """What the scenario does, see the table below."""
    column: str | None = None
    """The column that changes."""
    factor: Positive | None = None
    """What `multiply` multiplies by."""
    share: Share | None = None
    """The share of the rows that change."""
    level: str | None = None
    """The level that rows get."""
    from_level: str | None = None
    """The level that rows had."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        needs = {
            "multiply": ("column", "factor"),
            "move_level": ("column", "level", "from_level", "share"),
            "blank": ("column", "share"),
            "new_level": ("column", "level", "share"),
            "worsen_outcomes": ("share",),
            "shuffle_outcomes": ("share",),
        }[self.kind]
        for field in needs:
            if getattr(self, field) is None:
                raise ValueError(f"kind {self.kind} needs {field}")
        return self


def _calendar_date(text: str) -> str:
    if read_date(text) is None:
        raise ValueError(f"'{text}' is not a date of the calendar; write it as YYYY-MM-DD")
    return text


class ReplayPolicy(ContractPart):
    """How replay splits a labelled file into the history, nights of applications, and outcomes."""

    start: Annotated[str, AfterValidator(_calendar_date)] = "2026-01-05"
    """Date of the first night."""
    history_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Share of the rows that are the history."""
    outcome_lag_nights: Annotated[int, Field(ge=1)] = 3
    """How many nights later the outcomes of a night land."""
    generated_rows: Annotated[int, Field(ge=1000)] = 60_000
    """Number of generated loans."""
    generated_default_rate: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Default rate of generated loans."""
    scenarios: dict[str, Scenario] = Field(default_factory=dict)
    """Drifts that the command can add to nights, by name: `label`, `kind`, and what the kind needs.
    """
