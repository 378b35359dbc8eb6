"""Define the parts of a contract that describe the data: columns, target, exclusions, ratios."""

import re
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

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
    """

    nulls: Share = 0.0
    """The share of nulls."""
    quantiles: list[float] | None = Field(default=None, min_length=7, max_length=7)
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
    def _in_order(cls, quantiles: list[float] | None) -> list[float] | None:
        if quantiles and sorted(quantiles) != quantiles:
            raise ValueError("quantiles are out of order; sort them in ascending order")
        return quantiles


class Column(ContractPart):
    """One column of a source file: its names, its valid values, and when its values are known."""

    source: Any = None
    r"""Its name in the file, letter by letter. A line end inside quotes is part of it:
    `"Income\n(EUR)"`. In a file without a header its position, from 1. The key may have a list of
    several columns.
    """
    name: str
    """Its name in tables: snake_case, the unit at its end (`price_eur`)."""
    label: str = Field(min_length=1)
    """Its name in words, for alerts and reasons."""
    type: Literal[
        "integer", "number", "money", "percent", "boolean", "date", "datetime",
        "category", "text", "uuid",
    ]  # fmt: skip
    """`integer`; `number`; `money` and `percent`, which are numbers with signs, 13.5 for `13.5 %`;
    `boolean`; `date` and `datetime`; `category`; `text`, which is stored and never a feature;
    `uuid`: 16 bytes instead of 37 in each table and index.
    """
    known: Literal["application", "pricing", "outcome"]
    """When it is known. `application`: may be a feature. `pricing`, `outcome`: later, never a
    feature.
    """
    unit: str | None = None
    """Its unit, shown with its values."""
    levels: Annotated[list[str], Field(min_length=1)] | Literal["free"] | None = None
    """The levels of a category. Other levels go to quarantine, or are accepted with `open_levels:
    true`. `free`: the levels are learned from the published history.
    """
    open_levels: bool = False
    """Accept levels that are not listed, with an alert."""
    range: tuple[Any, Any] | None = None
    """`[lowest, highest]` of a number or a date, `null` for no limit. Other values go to
    quarantine.
    """
    made_from: Any = None
    """Of the key only, instead of `source`: `row` (a hash of the bytes of the row, type `uuid`) or
    `line` (file and line, type `text`).
    """
    format: Any = None
    """Of a date or a time: one or several formats of strptime, tried in order, such as `"%b-%Y"`,
    or `sas_days`, `excel_days`, `unix_seconds`; ISO 8601 without it.
    """
    decimal: Any = "."
    """The decimal separator of numbers."""
    thousands: Any = None
    """The thousands separator of numbers."""
    currency: Any = None
    """The currency sign that stands beside numbers."""
    is_true: Any = None
    """The texts of a boolean that mean true."""
    is_false: Any = None
    """The texts of a boolean that mean false."""
    max_levels: Any = 50
    """So many levels of a free or open category are features, the most frequent ones; the others
    are one group.
    """
    level_labels: Any = None
    """A label for each level that is a code, shown on pages and in reasons: `{p3: Home
    improvement}`.
    """
    ignore_case: Any = False
    """Whether the letter case of levels and of a boolean's texts does not matter; stored as
    declared.
    """
    stored_only: Any = False
    """Whether the column is stored, and is neither a feature nor watched for drift."""
    optional: Any = False
    """Whether a file may lack the column; its values are then null."""
    since: Any = None
    """Files of earlier business dates, and the history, may lack the column."""
    retired: Any = None
    """Files from this date on may lack the column, and models that are trained from then on do not
    use it.
    """
    null_tokens: list[str] = Field(default_factory=list)
    """Texts that mean null, besides the empty one; nothing is guessed. In a number, a token that is
    a number means all ways to write it: `'-999'` is also -999.0 and -9.99E+02.
    """
    max_null_share: Share = 0.0
    """The usual share of nulls. A larger share raises an alert. 1: nulls are not checked."""
    critical_null_share: Share | None = None
    """A batch with a larger share of nulls is refused. Without it: halfway from `max_null_share` to
    1.
    """
    margin: Margin | None = None
    """Its distribution in generated data, see [margins](#margins)."""

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

    source: Annotated[str, BeforeValidator(str)]
    """The column of a labelled file that holds the outcome."""
    label: str = "Loan defaulted"
    """What a default is, in words."""
    positive: list[str] = Field(min_length=1)
    """Its texts for default. After a change, ingest `history` and the files of outcomes again: the
    same bytes are then read anew.
    """
    negative: list[str] = Field(min_length=1)
    """Its texts for paid."""
    open: list[str] = Field(default_factory=list)
    """Texts of states that are no outcome yet: neither taken nor refused, and counted."""

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        both = set(self.positive) & set(self.negative)
        if both:
            raise ValueError(f"value '{min(both)}' is in both positive and negative")
        return self


class Source(ContractPart):
    """The URL of the portfolio's published labelled data, and the encoding of source files."""

    url: str | None = None
    """Where the labelled data is published."""
    encoding: Any = "utf-8"
    """The encoding of files of text: a codec of Python by name, such as `cp1252`."""
    delimiter: Any = "auto"
    """`auto` (one of `, ; tab |` is found), or one of them, or `blank`: runs of blanks."""
    header: bool = True
    """Whether the first record has the names of the columns. If not, a column's `source` is its
    position, from 1.
    """
    ignore_case: bool = False
    """Whether the letter case of the names in the header does not matter."""
    sheet: Any = None
    """The sheet of a workbook with several sheets."""


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
