"""Define a column of a contract."""

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract import column_rules
from loan_scoring.contract.file_formats import AnySource
from loan_scoring.contract.parts import ContractPart, Margin, Share, later

KEY = "loan_id"
"""The name of the key column in every table of every portfolio."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
RESERVED = frozenset({"batch_id", "revision", "line_number"})
FREE_LEVELS = 50
"""How many free levels are features of their own, if the contract does not say."""


class Column(ContractPart):
    """One column of a source file: its names, its valid values, and when its values are known.

    The key may have several sources, which are joined. Or it has none and is `made_from` each row:
    `row` is a hash of the row's bytes, `line` is the name of the file and the line of the row.
    """

    source: AnySource = None
    r"""Its name in the file, letter by letter. A line end inside quotes is part of it:
    `"Income\n(EUR)"`. In a file without a header its position, from 1. A column without a name in
    the header is `column 1` by its position. The key may have a list of several columns.
    """
    made_from: Literal["row", "line"] | None = later(None)
    """Of the key only, instead of `source`: `row` (a hash of the bytes of the row, type `uuid`) or
    `line` (file and line, type `text`).
    """
    name: str
    """Its name in tables: snake_case, the unit at its end (`price_eur`)."""
    label: str = Field(min_length=1)
    """Its name in words, for alerts and reasons."""
    type: Literal[
        "integer", "number", "money", "percent", "boolean", "date", "datetime", "category", "text",
        "uuid",
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
    format: str | list[str] | None = later(None)
    """Of a date or a time: one or several formats of strptime, tried in order, such as `"%b-%Y"`,
    or `sas_days`, `excel_days`, `unix_seconds`; ISO 8601 without it.
    """
    decimal: Literal[".", ","] = later(".")
    """The decimal separator of numbers."""
    thousands: str | None = later(None)
    """The thousands separator of numbers."""
    currency: str | None = later(None)
    """The currency sign that stands beside numbers."""
    is_true: list[str] | None = later(None)
    """The texts of a boolean that mean true."""
    is_false: list[str] | None = later(None)
    """The texts of a boolean that mean false."""
    levels: Annotated[list[str], Field(min_length=1)] | Literal["free"] | None = None
    """The levels of a category. Other levels go to quarantine, or are accepted with `open_levels:
    true`. `free`: the levels are learned from the published history.
    """
    open_levels: bool = False
    """Accept levels that are not listed, with an alert."""
    max_levels: Annotated[int, Field(ge=2, le=10_000)] | None = later(None)
    """So many levels of a free or open category are features, the most frequent ones; the others
    are one group.
    """
    level_labels: dict[str, str] = later({})
    """A label for each level that is a code, shown on pages and in reasons: `{p3: Home
    improvement}`.
    """
    ignore_case: bool = later(False)
    """Whether the letter case of levels and of a boolean's texts does not matter; stored as
    declared, and levels that are not listed, as with `levels: free`, in lower case.
    """
    stored_only: bool = later(False)
    """Whether the column is stored, and is neither a feature nor watched for drift."""
    calendar: Literal["year", "month"] | None = later(None)
    """Of an integer that follows the calendar, such as the year of application. It is compared with
    the business date, and not with the applicants at training.
    """
    direction: Literal["up", "down"] | None = later(None)
    """Of a number or a boolean: a higher value must not lower (`up`) or not raise (`down`) the
    probability of default. Nulls are free. See [directions](#directions).
    """
    special_codes: list[float] = later([])
    """Values of a number that are codes and no quantities, such as 999. A scorecard gives each a
    bin of its own, outside of the direction.
    """
    optional: bool = later(False)
    """Whether a file may lack the column; its values are then null."""
    since: date | None = later(None)
    """Files of earlier business dates, and the history, may lack the column."""
    retired: date | None = later(None)
    """Files from this date on may lack the column, and models that are trained from then on do not
    use it.
    """
    range: tuple[float | date | None, float | date | None] | None = None
    """`[lowest, highest]` of a number or a date, `null` for no limit. Other values go to
    quarantine.
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
    def _has_sources(self) -> Self:
        if self.name != KEY and self.made_from is not None:
            raise ValueError(f"only {KEY} may have made_from; name the column of the file")
        if (self.source is None) == (self.made_from is None):
            raise ValueError(
                f"give either source or made_from: {self.made_from}"
                if self.made_from
                else "needs source, its name in the file"
            )
        if isinstance(self.source, list) and (self.name != KEY or self.type != "text"):
            raise ValueError(
                "source is a list, so the type must be text: the values are joined"
                if self.name == KEY
                else f"only {KEY} may have a list of sources"
            )
        needed = {"row": "uuid", "line": "text"}.get(self.made_from or "", self.type)
        if self.type != needed:
            raise ValueError(f"a key with made_from: {self.made_from} has the type {needed}")
        if self.made_from and self.null_tokens:
            raise ValueError("a key with made_from is never null; remove null_tokens")
        return self

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
    def sources(self) -> list[str]:
        """The columns of the file from which the values come. A key made from rows has none."""
        if self.source is None:
            return []
        return [*self.source] if isinstance(self.source, list) else [self.source]

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
