"""Define what is derived from the columns of an application: features and look-ups.

A feature is computed by an expression. A look-up gives columns of a second table, as they were
known when the application was made. Both give columns, which count everywhere as the columns of the
file do.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import KEY, NAME, RESERVED, Column
from loan_scoring.contract.expressions import MOST_CHARACTERS, ExpressionError, parse
from loan_scoring.contract.file_formats import Source, SourceName
from loan_scoring.contract.language import KINDS, Expression, Operand, levels_of, operands_of
from loan_scoring.contract.parts import ContractPart

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

KNOWN = ("application", "pricing", "outcome")
"""When a value is known, the earliest first."""

NOT_IN_LOOKUPS = {
    "max_null_share": 1, "critical_null_share": None, "margin": None, "optional": False,
    "since": None, "retired": None,
}  # fmt: skip
"""Fields of a column that concern the files of applications only, with the only possible value."""

KEY_TYPES = ("integer", "category", "text", "uuid")
"""The types of a column that may be the key of a look-up."""


class Feature(ContractPart):
    """A value that is computed from the columns of one application by an expression.

    If `stored` is true, the value is also a column of table `applications`.
    """

    name: str
    label: str = Field(min_length=1)
    unit: str | None = None
    expression: str = Field(min_length=1, max_length=MOST_CHARACTERS)
    stored: bool = False

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
    type: Literal["date", "datetime"] = "date"
    format: str | list[str] | None = None

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
    source: Source = Source()
    key: dict[str, SourceName] = Field(min_length=1)
    where: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    known_at: KnownAt | None = None
    as_of: str | None = None
    columns: list[Column] = Field(min_length=1)

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


@dataclass(frozen=True)
class Derived:
    """The columns that a contract derives, in the order in which they are computed."""

    lookups: Sequence[Lookup]
    features: Mapping[str, Expression]
    """The parsed expression of each feature, by name."""
    columns: Mapping[str, Column]
    """The columns of the look-ups and then the features, by name."""
    protected: frozenset[str]
    """The features that read a protected column."""

    @cached_property
    def lookup_of(self) -> dict[str, Lookup]:
        """The look-up of each column of a look-up, by name of the column."""
        return {column.name: each for each in self.lookups for column in each.columns}

    def reads(self, name: str) -> list[str]:
        """Return the columns from which a column is derived directly: none for a file's column."""
        if name in self.features:
            return list(operands_of(self.features[name]))
        if name not in self.lookup_of:
            return []
        lookup = self.lookup_of[name]
        return [*lookup.key, *([lookup.as_of] if lookup.as_of else [])]

    def columns_read(self, name: str) -> set[str]:
        """Return the columns that a feature reads, or the column itself if it is no feature."""
        if name not in self.features:
            return {name}
        return {read for each in self.reads(name) for read in self.columns_read(each)}

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return the given columns and all columns from which these are derived."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.reads(name)
        return found


def derive_columns(
    columns: Sequence[Column],
    protected: Iterable[str],
    lookups: Sequence[Lookup],
    features: Sequence[Feature],
) -> Derived:
    """Return the derived columns of a contract.

    Args:
        columns: columns of the file.
        protected: names of the protected columns.
        lookups: look-ups, each of which may use columns of the look-ups above.
        features: features, each of which may use look-ups and the features above.

    Raises:
        ValueError: a name is unknown or declared twice, or an expression is not valid.
    """
    known = {column.name: column for column in columns}
    derived: dict[str, Column] = {}
    names: set[str] = set()
    for lookup in lookups:
        if lookup.name in names:
            raise ValueError(f"lookups: name '{lookup.name}' is declared twice")
        names.add(lookup.name)
        found = _lookup_columns(lookup, known)
        derived |= found
        known |= found
    expressions: dict[str, Expression] = {}
    guarded = set(protected)
    hidden = set()
    for feature in features:
        place = f"features.{feature.name}"
        if feature.name in known:
            raise ValueError(f"{place}: '{feature.name}' is the name of another column")
        operands = {name: _operand(column) for name, column in known.items() if name != KEY}
        try:
            expression = parse(feature.expression, operands)
        except ExpressionError as error:
            raise ValueError(f"{place}.expression: {error}") from error
        read = [known[name] for name in dict.fromkeys(operands_of(expression))]
        if not read:
            raise ValueError(f"{place}.expression: reads no column, so it is the same for everyone")
        if expression.kind not in FEATURE_TYPES:
            raise ValueError(
                f"{place}.expression: its result is a {expression.kind}; a feature is a number, a "
                "boolean or a category"
            )
        expressions[feature.name] = expression
        column = _feature_column(feature, expression, _latest(read))
        if guarded & {each.name for each in read}:
            guarded.add(feature.name)
            hidden.add(feature.name)
        if not feature.stored and (feature.name in hidden or not column.is_known_at_application):
            reason = "a protected column" if feature.name in hidden else f"what {column.known} says"
            raise ValueError(
                f"{place}: reads {reason}, so no model may use it; set stored: true to keep it for "
                "queries, or read other columns"
            )
        derived[feature.name] = known[feature.name] = column
    return Derived(lookups, expressions, derived, frozenset(hidden))


def stored_derivation(contract: "Contract") -> str:
    """Return what the values of stored features depend on, as text. Empty if there are none."""
    names = [column.name for column in contract.stored_features]
    if not names:
        return ""
    read = contract.derived.closure(names)
    features = [each for each in contract.declared_features if each.name in read]
    lookups = [each for each in contract.lookups if read & {c.name for c in each.columns}]
    return json.dumps([each.model_dump(mode="json") for each in (*lookups, *features)])


FEATURE_TYPES = {"number": "number", "boolean": "boolean", "text": "category"}
"""The type of a feature's column, by the type of its expression."""


def _feature_column(feature: Feature, expression: Expression, known: str) -> FeatureColumn:
    levels = levels_of(expression) if expression.kind == "text" else None
    return FeatureColumn.model_validate(
        {
            "source": feature.expression,
            "name": feature.name,
            "label": feature.label,
            "type": FEATURE_TYPES[expression.kind],
            "known": known,
            "unit": feature.unit,
            "levels": list(levels) if levels else None,
            "open_levels": expression.kind == "text" and not levels,
            "max_null_share": 1,
        }
    )


def _lookup_columns(lookup: Lookup, known: Mapping[str, Column]) -> dict[str, Column]:
    place = f"lookups.{lookup.name}"
    read = []
    for field, name in [*(("key", name) for name in lookup.key), ("as_of", lookup.as_of)]:
        if name is None:
            continue
        if name not in known:
            raise ValueError(f"{place}.{field}: no column above is named '{name}'")
        column = known[name]
        types = KEY_TYPES if field == "key" else ("date", "datetime")
        if column.type not in types:
            raise ValueError(
                f"{place}.{field}: {name} is a {column.type}; use one of {', '.join(types)}"
            )
        read.append(column)
    found = {}
    for column in lookup.columns:
        if column.name in known or column.name in found:
            raise ValueError(f"{place}.columns: name '{column.name}' is declared twice")
        latest = _latest([column, *read])
        found[column.name] = column.model_copy(update={"known": latest})
    return found


def _identifier(name: str) -> str:
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"'{name}' is not a valid name: use at most 50 lower-case letters, digits and _, and "
            f"none of {', '.join(sorted(RESERVED))}"
        )
    return name


def _operand(column: Column) -> Operand:
    levels = None if column.is_open or not column.listed_levels else tuple(column.listed_levels)
    return Operand(column.name, KINDS[column.type], levels)


def _latest(columns: Iterable[Column]) -> str:
    return max((column.known for column in columns), key=KNOWN.index)
