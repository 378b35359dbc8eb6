"""Define the features and the look-ups that a contract declares.

A feature is computed by an expression. A look-up gives columns of a second table, as they were
known when the application was made.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import KEY, NAME, RESERVED, Column
from loan_scoring.contract.expressions import MOST_CHARACTERS
from loan_scoring.contract.file_formats import Source, SourceName
from loan_scoring.contract.parts import ContractPart, later

NOT_IN_LOOKUPS = {
    "max_null_share": 1, "critical_null_share": None, "margin": None, "optional": False,
    "since": None, "retired": None,
}  # fmt: skip
"""Fields of a column that concern the files of applications only, with the only possible value."""


class Feature(ContractPart):
    """A value that is computed from the columns of one application by an expression.

    If `stored` is true, the value is also a column of table `applications`.
    """

    name: str
    """Its name, as of a column."""
    label: str = Field(min_length=1)
    """Its name in words, for alerts and reasons."""
    unit: str | None = None
    """Its unit, shown with its values."""
    expression: str = Field(min_length=1, max_length=MOST_CHARACTERS)
    """How it is computed from columns of the file and of look-ups, and from features above it. The
    language is [below](#features).
    """
    direction: Literal["up", "down"] | None = later(None)
    """As of a column: a higher value must not lower (`up`) or not raise (`down`) the probability of
    default. Not of a category.
    """
    stored: bool = False
    """Whether the value is also a column of table `applications`, as computed at ingest. Models
    always compute it anew. After a change of the expression, ingest a batch again to store the
    new values.
    """

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        return _identifier(name)


class FeatureColumn(Column):
    """A feature as a column. `source` is its expression."""


class KnownAt(ContractPart):
    """The column of a look-up's table that says when a row was known.

    `type` is `date`, or `datetime` for a time of day. `format` is one or several formats of
    strptime, and by default ISO 8601.
    """

    source: SourceName
    """The column of the table that says when a row was known."""
    type: Literal["date", "datetime"] = "date"
    """`date`, or `datetime` for a time of day."""
    format: str | list[str] | None = None
    """One or several formats of strptime; ISO 8601 without it."""

    @cached_property
    def column(self) -> Column:
        """The column of the table, as the columns of a file are read."""
        return Column(
            source=self.source,
            name="known_at",
            label="Known at",
            type=self.type,
            known="application",
            format=self.format,
        )

    @model_validator(mode="after")
    def _has_formats_of_its_type(self) -> Self:
        _ = self.column  # which checks the formats
        return self


class Lookup(ContractPart):
    """A second table, joined by key as of the date of the application.

    - `key`: the column of the application, or of an earlier look-up, and its column in the table.
    - `where`: only rows with one of these texts in these columns of the table are taken.
    - `known_at`: when a row was known. Without it, the table is a static reference table.
    - `as_of`: the column with the date of the application. By default, the business date.
    """

    name: str
    """Its name, and the landing folder `lookups/NAME`."""
    source: Source = Source()
    """`url` (or a path) and format of its file, as of [applications](#source). Without a URL,
    files land in the folder.
    """
    key: dict[str, SourceName] = Field(min_length=1)
    """For each part of the key the column of the application, then the column of the table. The
    column may come from a look-up above, so that look-ups chain. Types: integer, category,
    text, uuid.
    """
    where: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    """Only rows with one of these texts are taken: `{type: [OWNER]}`."""
    known_at: KnownAt | None = None
    """When a row was known: `source`, `type` (`date` or `datetime`) and `format`, as of a column.
    Without it, the table is a *static reference table*: each application gets the latest
    delivery.
    """
    as_of: str | None = None
    """The column with the date of the application. Without it the business date; `history` has
    none, so there it is needed. A request or a file without the column is of today.
    """
    columns: list[Column] = Field(min_length=1)
    """As [columns](#a-column); `known` is `application` by default. They are features too, unless
    they are `stored_only`. Fields about shares of nulls and about files that lack a column have
    no effect and are refused.
    """

    @field_validator("name")
    @classmethod
    def _is_identifier(cls, name: str) -> str:
        return _identifier(name)

    @field_validator("columns", mode="before")
    @classmethod
    def _with_defaults(cls, columns: Any) -> Any:
        """Let columns be known at application, and nulls be usual, because a key may be unknown."""
        if not isinstance(columns, list):
            return columns
        for each in columns:
            given = each if isinstance(each, Mapping) else {}
            useless = [
                field
                for field, default in NOT_IN_LOOKUPS.items()
                if given.get(field, default) != default
            ]
            if useless:
                raise ValueError(f"{', '.join(useless)}: has no effect in a look-up")
        return [
            {"known": "application", **each, "max_null_share": 1}
            if isinstance(each, Mapping)
            else each
            for each in columns
        ]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.as_of is not None and self.known_at is None:
            raise ValueError("as_of needs known_at: a static table is the same on every date")
        for column in self.columns:
            if column.name == KEY:
                raise ValueError(f"columns.{KEY}: this is the name of the application's key")
        return self


def _identifier(name: str) -> str:
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"'{name}' is not a valid name: use at most 50 lower-case letters, digits and _, and "
            f"none of {', '.join(sorted(RESERVED))}"
        )
    return name
