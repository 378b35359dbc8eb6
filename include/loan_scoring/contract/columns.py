"""Define the parts of a contract that describe the data: columns, target, exclusions, ratios."""

import re
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

KEY = "loan_id"
"""The name of the key column in every table of every portfolio."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
RESERVED = frozenset({"batch_id", "revision", "line_number"})

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


class Margin(ContractPart):
    """Distribution of a column, from which synthetic loans are drawn.

    Scenarios of replay and the example application also use `quantiles` and `step`.

    - `nulls`: share of null values.
    - `quantiles`: values of a numeric column at 0, 5, 25, 50, 75, 95 and 100 %.
    - `step`: numeric values are the lowest quantile plus a multiple of this step.
    - `shares`: weight of each level of a category.
    - `effect`: change in the log-odds of default, as a weight relative to the other columns. A
      numeric column has one value, the change per standard deviation. A category has one value for
      each level.
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
            raise ValueError("quantiles are out of order; sort them in ascending order")
        return quantiles


class Column(ContractPart):
    """One column of a source file: its names, its valid values, and when its values are known."""

    source: Any = None
    name: str
    label: str = Field(min_length=1)
    type: Literal[
        "integer", "number", "money", "percent", "boolean", "date", "datetime",
        "category", "text", "uuid",
    ]  # fmt: skip
    known: Literal["application", "pricing", "outcome"]
    unit: str | None = None
    levels: Any = None
    open_levels: bool = False
    range: tuple[Any, Any] | None = None
    made_from: Any = None
    format: Any = None
    decimal: Any = "."
    thousands: Any = None
    currency: Any = None
    is_true: Any = None
    is_false: Any = None
    max_levels: Any = 50
    level_labels: Any = None
    ignore_case: Any = False
    stored_only: Any = False
    optional: Any = False
    since: Any = None
    retired: Any = None
    null_tokens: list[str] = Field(default_factory=list)
    max_null_share: Share = 0.0
    critical_null_share: Share | None = None
    margin: Margin | None = None

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"'{name}' is not a valid column name: use at most 50 lower-case letters, digits "
                f"and _, and none of {', '.join(sorted(RESERVED))}"
            )
        return name

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category" and self.levels is None and not self.open_levels:
            raise ValueError("a category needs levels or open_levels: true")
        if self.type != "category" and self.levels is not None:
            raise ValueError(f"only a category has levels; the type of this column is {self.type}")
        if not self.is_numeric and self.type not in ("date", "datetime") and self.range is not None:
            raise ValueError(f"only a number has a range; the type of this column is {self.type}")
        if isinstance(self.levels, list) and len(set(self.levels)) < len(self.levels):
            raise ValueError(f"level '{first_repeated(self.levels)}' is declared twice")
        if self.range and None not in self.range and self.range[0] > self.range[1]:
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
                    "margin: shares and an effect per level are for a category, not a number"
                )
            return
        if margin.quantiles is not None or (not isinstance(margin.effect, dict) and margin.effect):
            raise ValueError(
                "margin: quantiles and a single effect are for a number, not a category"
            )
        effects = set(margin.effect) if isinstance(margin.effect, dict) else set()
        unknown = sorted(effects - set(margin.shares or self.levels or effects))
        if unknown:
            raise ValueError(f"margin: '{unknown[0]}' has an effect but no share")

    @property
    def is_numeric(self) -> bool:
        """Whether the column's type is `integer` or `number`."""
        return self.type in ("integer", "number", "money", "percent")

    @property
    def null_share_limit(self) -> float:
        """The largest share of nulls in this column with which a batch is accepted.

        If `critical_null_share` is None, the limit is halfway between `max_null_share` and 1.
        """
        if self.critical_null_share is not None:
            return self.critical_null_share
        return (1 + self.max_null_share) / 2

    @property
    def is_known_at_application(self) -> bool:
        """Whether the column's value is known when an application is scored."""
        return self.known == "application"


class Target(ContractPart):
    """The column of a labelled file that says whether a loan defaulted.

    `positive` lists the values that mean default, `negative` the values that mean repaid.
    """

    source: str = Field(min_length=1)
    label: str = "Loan defaulted"
    positive: list[str] = Field(min_length=1)
    negative: list[str] = Field(min_length=1)
    open: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        both = set(self.positive) & set(self.negative)
        if both:
            raise ValueError(f"value '{min(both)}' is in both positive and negative")
        return self


class Source(ContractPart):
    """The URL of the portfolio's published labelled data, and the encoding of source files."""

    url: str | None = None
    encoding: Any = "utf-8"
    delimiter: Any = "auto"
    header: bool = True
    ignore_case: bool = False
    sheet: Any = None


class Exclusion(ContractPart):
    """A condition on a column for which an application is not scored.

    The decision on such an application is `refer`.
    """

    reason: str
    label: str
    column: str
    is_null: bool = False
    equals: str | None = None

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
    column: str
    numerator: str
    denominator: str
    scale: float = 1.0
    tolerance: Positive
