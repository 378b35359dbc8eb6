"""Derive columns from those of a file: the columns of look-ups, and features.

Derived columns count everywhere as the columns of the file do.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from loan_scoring.contract.columns import KEY, Column
from loan_scoring.contract.expressions import ExpressionError, parse
from loan_scoring.contract.language import KINDS, Expression, Operand, levels_of, operands_of
from loan_scoring.contract.lookups import Feature, FeatureColumn, Lookup

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

KNOWN = ("application", "pricing", "outcome")
"""When a value is known, the earliest first."""

KEY_TYPES = ("integer", "category", "text", "uuid")
"""The types of a column that may be the key of a look-up."""


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
        if feature.direction and expression.kind == "text":
            raise ValueError(f"{place}.direction: its result is a category, which has no direction")
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
            "direction": feature.direction,
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


def _operand(column: Column) -> Operand:
    levels = None if column.is_open or not column.listed_levels else tuple(column.listed_levels)
    return Operand(column.name, KINDS[column.type], levels)


def _latest(columns: Iterable[Column]) -> str:
    return max((column.known for column in columns), key=KNOWN.index)
