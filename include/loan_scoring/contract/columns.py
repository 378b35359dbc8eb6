"""Define the parts of a contract that describe the data: columns, target, exclusions, ratios."""

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract import column_rules
from loan_scoring.contract.parts import ContractPart, Margin, Positive, Share, later

KEY = "loan_id"
"""The name of the key column in every table of every portfolio."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
RESERVED = frozenset({"batch_id", "revision", "line_number"})
FREE_LEVELS = 50
"""How many free levels are features of their own, if the contract does not say."""


class Column(ContractPart):
    """One column of a source file: its names, its valid values, and when its values are known."""

    source: str = Field(min_length=1)
    name: str
    label: str = Field(min_length=1)
    type: Literal[
        "integer", "number", "money", "percent", "boolean", "date", "datetime", "category", "text",
        "uuid",
    ]  # fmt: skip
    known: Literal["application", "pricing", "outcome"]
    unit: str | None = None
    format: str | list[str] | None = later(None)
    decimal: Literal[".", ","] = later(".")
    thousands: str | None = later(None)
    currency: str | None = later(None)
    is_true: list[str] | None = later(None)
    is_false: list[str] | None = later(None)
    levels: Annotated[list[str], Field(min_length=1)] | Literal["free"] | None = None
    open_levels: bool = False
    max_levels: Annotated[int, Field(ge=2, le=10_000)] | None = later(None)
    level_labels: dict[str, str] = later({})
    ignore_case: bool = later(False)
    stored_only: bool = later(False)
    optional: bool = later(False)
    since: date | None = later(None)
    retired: date | None = later(None)
    range: tuple[float | date | None, float | date | None] | None = None
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
        column_rules.check_column(self)
        if self.critical_null_share is not None and self.critical_null_share < self.max_null_share:
            raise ValueError(
                f"critical_null_share {self.critical_null_share:g} is below "
                f"max_null_share {self.max_null_share:g}"
            )
        return self

    @property
    def is_numeric(self) -> bool:
        """Whether the column's values are numbers: `integer`, `number`, `money`, `percent`."""
        return self.type in column_rules.NUMERIC

    @property
    def is_numeric_feature(self) -> bool:
        """Whether models read the column as a number. A boolean is 0 or 1."""
        return self.is_numeric or self.type == "boolean"

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The lowest and the highest valid number. None means no limit."""
        low, high = self.range or (None, None)
        return (
            None if low is None or isinstance(low, date) else low,
            None if high is None or isinstance(high, date) else high,
        )

    @property
    def date_bounds(self) -> tuple[date | None, date | None]:
        """The first and the last valid date. None means no limit."""
        low, high = self.range or (None, None)
        return (
            low if isinstance(low, date) else None,
            high if isinstance(high, date) else None,
        )

    @property
    def formats(self) -> list[str]:
        """The formats of a date in the order in which they are tried. Empty means ISO 8601."""
        if isinstance(self.format, str):
            return [self.format]
        return self.format or []

    @property
    def has_notation(self) -> bool:
        """Whether numbers may be written in another way than with digits and a decimal point."""
        return (
            self.decimal != "." or self.type == "percent"
            or self.thousands is not None or self.currency is not None
        )  # fmt: skip

    @property
    def texts(self) -> tuple[list[str], list[str]]:
        """The texts of a boolean for true and for false."""
        return self.is_true or ["true"], self.is_false or ["false"]

    @property
    def listed_levels(self) -> list[str]:
        """The levels that the contract lists. Empty if it lists none, or if they are free."""
        return self.levels if isinstance(self.levels, list) else []

    @property
    def is_open(self) -> bool:
        """Whether a category accepts levels that the contract does not list."""
        return self.open_levels or self.levels == "free"

    @property
    def most_levels(self) -> int | None:
        """How many levels are features of their own. None means that the contract sets no limit."""
        return self.max_levels or (FREE_LEVELS if self.levels == "free" else None)

    def shown_level(self, level: str) -> str:
        """Return the label of a level, or the level itself if it has no label."""
        return self.level_labels.get(level, level)

    @property
    def is_stored_only(self) -> bool:
        """Whether the column is stored but never a feature, and not watched for drift."""
        return self.stored_only or self.type in column_rules.STORED_ONLY

    @property
    def is_absent_at_times(self) -> bool:
        """Whether some files may lack the column, so that its nulls say nothing about a file."""
        return self.optional or self.since is not None or self.retired is not None

    def may_lack(self, day: date | None) -> bool:
        """Return whether the file of a business date may lack the column.

        Args:
            day: business date of the file. None for `history`.
        """
        if self.optional or day is None:
            return self.optional or self.since is not None
        return (self.since is not None and day < self.since) or self.is_retired(day)

    def is_retired(self, day: date) -> bool:
        """Return whether the column is retired on a day."""
        return self.retired is not None and day >= self.retired

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

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        both = set(self.positive) & set(self.negative)
        if both:
            raise ValueError(f"value '{min(both)}' is in both positive and negative")
        return self


class Source(ContractPart):
    """The URL of the portfolio's published labelled data, and the encoding of source files."""

    url: str | None = None
    encoding: Literal["utf-8", "latin-1"] = "utf-8"


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
