"""Define what all parts of a contract share, and the margin of a column."""

from collections import Counter
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


def first_repeated(values: list[str]) -> str | None:
    """Return the first value that occurs more than once. Return None if all values differ."""
    return next((value for value, count in Counter(values).items() if count > 1), None)


class ContractPart(BaseModel):
    """Base class of all parts of a contract.

    A field that the class does not define is a validation error, and values are read-only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def later(default: Any) -> Any:
    """Return a field that was added after 0.1.0, with its default.

    Dumps leave the field out while it has its default. So a contract without the field keeps the
    hashes of its rules and of its training.
    """
    return Field(default=default, exclude_if=lambda value: value == default)


class Margin(ContractPart):
    """Distribution of a column, from which synthetic loans are drawn.

    Scenarios of replay and the example application also use `quantiles` and `step`.

    - `nulls`: share of null values.
    - `quantiles`: values of a number, or dates of a date, at 0, 5, 25, 50, 75, 95 and 100 %.
    - `step`: numeric values are the lowest quantile plus a multiple of this step.
    - `shares`: weight of each level of a category, or of each text of a boolean.
    - `effect`: change in the log-odds of default, as a weight relative to the other columns. A
      numeric column has one value, the change per standard deviation. A category has one value for
      each level, and a boolean for each text.
    """

    nulls: Share = 0.0
    """The share of nulls."""
    quantiles: list[float] | list[date] | None = Field(default=None, min_length=7, max_length=7)
    """Of a number that is not null: the values at 0, 5, 25, 50, 75, 95 and 100 %."""
    step: Positive | None = None
    """Values are the lowest quantile plus multiples of it; 1 for an integer."""
    shares: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """The share of each of a category's levels, without nulls; rescaled to 1."""
    effect: float | dict[str, float] = 0.0
    """On the log-odds of default: of a number by standard deviation, of a category by level. Only
    their relation counts: all are scaled by one factor until the target is about as predictable as
    a real one.
    """

    @field_validator("quantiles")
    @classmethod
    def _in_order(cls, quantiles: Any) -> Any:
        if quantiles and sorted(quantiles) != quantiles:
            raise ValueError("quantiles are out of order; sort them in ascending order")
        return quantiles
