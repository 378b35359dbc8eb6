"""Define the language of feature expressions: its types, its parts and its functions.

The language is closed: numbers, texts, names of columns, operators, and the functions in FUNCTIONS.
docs/data-contract.md explains the language, and `loan_scoring.features.functions` computes each
function.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["number", "boolean", "text", "date", "null"]
"""The type of a value. `null` is the type of the literal null, which fits every other type."""

KINDS: dict[str, Kind] = {
    "integer": "number",
    "number": "number",
    "money": "number",
    "percent": "number",
    "boolean": "boolean",
    "category": "text",
    "text": "text",
    "uuid": "text",
    "date": "date",
    "datetime": "date",
}
"""The type of a column's values in expressions, by the column's type in the contract."""


@dataclass(frozen=True)
class Operand:
    """Name of a column and type of its values. `levels` are all of them, where these are known."""

    name: str
    kind: Kind
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Literals:
    """One or several constants: a number, a text, true, false, null, or a list in brackets."""

    values: tuple[float | str | bool | None, ...]
    kind: Kind


@dataclass(frozen=True)
class Call:
    """A function or an operator with its arguments."""

    function: str
    arguments: "tuple[Expression, ...]"
    kind: Kind


Expression = Operand | Literals | Call


@dataclass(frozen=True)
class Signature:
    """The parameters of a function: the type of each, and of its result.

    `same` stands for one type that all parameters with this word, and the result, share. `list` is
    a list of constants in brackets, and `digits` a whole number as a constant. `is_repeated` says
    that the last parameter may be given any number of times.
    """

    parameters: tuple[str, ...]
    result: str
    is_repeated: bool = False
    optional: int = 0


FUNCTIONS = {
    "if": Signature(("boolean", "same", "same"), "same"),
    "is_null": Signature(("any",), "boolean"),
    "coalesce": Signature(("same", "same"), "same", is_repeated=True),
    "min": Signature(("number", "number"), "number", is_repeated=True),
    "max": Signature(("number", "number"), "number", is_repeated=True),
    "abs": Signature(("number",), "number"),
    "log": Signature(("number",), "number"),
    "round": Signature(("number", "digits"), "number", optional=1),
    "months_between": Signature(("date", "date"), "number"),
    "years_between": Signature(("date", "date"), "number"),
    "days_between": Signature(("date", "date"), "number"),
    "year": Signature(("date",), "number"),
    "month": Signature(("date",), "number"),
    "bucket": Signature(("number", "list"), "text"),
    "number_in": Signature(("text",), "number"),
    "upper": Signature(("text",), "text"),
    "lower": Signature(("text",), "text"),
    "left": Signature(("text", "digits"), "text"),
    "level_in": Signature(("any", "list"), "boolean"),
}
"""Every function of the language, by name."""


def operands_of(expression: Expression) -> Iterator[str]:
    """Return an iterator over the names of the columns that an expression reads."""
    if isinstance(expression, Operand):
        yield expression.name
    elif isinstance(expression, Call):
        for argument in expression.arguments:
            yield from operands_of(argument)


def levels_of(expression: Expression) -> tuple[str, ...] | None:
    """Return all texts that an expression can give, or None if these are not known."""
    if isinstance(expression, Operand):
        return expression.levels
    if isinstance(expression, Literals):
        return tuple(each for each in expression.values if isinstance(each, str))
    if expression.function == "bucket":
        return bucket_levels(expression.arguments[1])
    if expression.function not in ("if", "coalesce"):
        return None
    found: dict[str, None] = {}
    for each in expression.arguments[1 if expression.function == "if" else 0 :]:
        levels = levels_of(each)
        if levels is None:
            return None
        found |= dict.fromkeys(levels)
    return tuple(found)


def bucket_levels(edges: Expression) -> tuple[str, ...]:
    """Return the names of the intervals between edges, the lowest interval first.

    >>> bucket_levels(Literals((18.0, 2500.5), "number"))
    ('below 18', '18 to 2,500.5', '2,500.5 or more')
    """
    assert isinstance(edges, Literals)  # noqa: S101 - the signature of bucket says so
    texts = [f"{edge:,.10g}" for edge in edges.values]
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    return (f"below {texts[0]}", *between, f"{texts[-1]} or more")
