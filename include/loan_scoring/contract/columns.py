"""What a portfolio's file is made of: columns, target, source, exclusions, ratios."""

import re
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

KEY = "loan_id"
"""The key column's name in every table of every portfolio."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
RESERVED = frozenset({"batch_id", "revision", "line_number"})

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


def first_repeated(values: list[str]) -> str | None:
    """Return the first value that is there twice, None where none is."""
    return next((value for value, count in Counter(values).items() if count > 1), None)


class ContractPart(BaseModel):
    """Base of the contract's parts: unknown fields are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Margin(ContractPart):
    """How a column is distributed in the data that the contract was written from.

    It feeds the generated portfolio only. `quantiles` are the values at 0, 5, 25, 50, 75, 95
    and 100 % of a number; `shares` the weights of a category's levels; `effect` the log-odds of
    default per standard deviation (number) or per level (category).
    """

    nulls: Share = 0.0
    quantiles: list[float] | None = Field(default=None, min_length=7, max_length=7)
    step: Positive | None = None
    shares: dict[str, Annotated[float, Field(ge=0)]] | None = None
    effect: float | dict[str, float] = 0.0

    @field_validator("quantiles")
    @classmethod
    def _in_order(cls, quantiles: list[float] | None) -> list[float] | None:
        if quantiles and sorted(quantiles) != quantiles:
            raise ValueError("quantiles are out of order; they go from the least to the greatest")
        return quantiles


class Column(ContractPart):
    """One column of the source: what it is called, what it may hold, when it is known."""

    source: str = Field(min_length=1)
    name: str
    label: str = Field(min_length=1)
    type: Literal["integer", "number", "category", "text"]
    known: Literal["application", "pricing", "outcome"]
    unit: str | None = None
    levels: list[str] | None = Field(default=None, min_length=1)
    open_levels: bool = False
    range: tuple[float | None, float | None] | None = None
    null_tokens: list[str] = Field(default_factory=list)
    max_null_share: Share = 0.0
    critical_null_share: Share | None = None
    margin: Margin | None = None

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"'{name}' is not a column name: lower-case letters, digits and _, at most 50, "
                f"and none of {', '.join(sorted(RESERVED))}"
            )
        return name

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category" and self.levels is None and not self.open_levels:
            raise ValueError("a category needs levels, or open_levels: true")
        if self.type in ("integer", "number") and self.levels is not None:
            raise ValueError(f"levels belong to a category; this column's type is {self.type}")
        if self.type in ("category", "text") and self.range is not None:
            raise ValueError(f"range belongs to a number; this column's type is {self.type}")
        if self.levels and len(set(self.levels)) < len(self.levels):
            raise ValueError(f"level '{first_repeated(self.levels)}' is declared twice")
        if self.range and None not in self.range and self.range[0] > self.range[1]:  # type: ignore[operator]
            raise ValueError(f"range is out of order: {self.range[0]:g} is above {self.range[1]:g}")
        if self.critical_null_share is not None and self.critical_null_share < self.max_null_share:
            raise ValueError(
                f"critical_null_share {self.critical_null_share:g} is below "
                f"max_null_share {self.max_null_share:g}"
            )
        if self.margin is not None:
            self._margin_fits(self.margin)
        return self

    def _margin_fits(self, margin: Margin) -> None:
        if self.is_numeric:
            if margin.shares is not None or isinstance(margin.effect, dict):
                raise ValueError(
                    "margin: shares and an effect by level are for a category, not a number"
                )
            return
        if margin.quantiles is not None or (not isinstance(margin.effect, dict) and margin.effect):
            raise ValueError("margin: quantiles and one effect are for a number, not a category")
        told = [*(margin.shares or {}), *(margin.effect if isinstance(margin.effect, dict) else {})]
        strange = sorted(set(told) - set(margin.shares or self.levels or told))
        if strange:
            raise ValueError(f"margin: '{strange[0]}' has an effect and no share")

    @property
    def is_numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.type in ("integer", "number")

    @property
    def null_share_limit(self) -> float:
        """The share of nulls that refuses a batch; unset, halfway from the usual one to all."""
        if self.critical_null_share is not None:
            return self.critical_null_share
        return (1 + self.max_null_share) / 2

    @property
    def is_known_at_application(self) -> bool:
        """Whether the column is known when the score is wanted."""
        return self.known == "application"


class Target(ContractPart):
    """The column of a labelled file that says whether a loan defaulted."""

    source: str = Field(min_length=1)
    label: str = "Loan defaulted"
    positive: list[str] = Field(min_length=1)
    negative: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        both = set(self.positive) & set(self.negative)
        if both:
            raise ValueError(f"value '{min(both)}' stands in both positive and negative")
        return self


class Source(ContractPart):
    """Where the portfolio's labelled data is published, and how its files are written."""

    url: str | None = None
    encoding: Literal["utf-8", "latin-1"] = "utf-8"


class Exclusion(ContractPart):
    """An application that no model should judge: it is referred, with this reason."""

    reason: str
    label: str
    column: str
    is_null: bool = False
    equals: str | None = None

    @field_validator("reason")
    @classmethod
    def _is_identifier(cls, reason: str) -> str:
        if not NAME.fullmatch(reason):
            raise ValueError(f"'{reason}' is not a reason code: lower-case letters, digits and _")
        return reason

    @model_validator(mode="after")
    def _has_one_condition(self) -> Self:
        if self.is_null == (self.equals is not None):
            raise ValueError("an exclusion has either is_null: true or equals: LEVEL")
        return self


class Ratio(ContractPart):
    """A column that is computed from two others: scale x numerator / denominator."""

    name: str
    column: str
    numerator: str
    denominator: str
    scale: float = 1.0
    tolerance: Positive
