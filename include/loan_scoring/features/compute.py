"""Compute the features of a contract for a table of applications."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.contract.language import Expression, Literals, Operand
from loan_scoring.features.functions import FUNCTIONS, Values

LISTED = {"bucket": 1, "level_in": 1, "left": 1, "round": 1}
"""The functions with an argument that is a setting and no value, and the place of this argument."""
TYPES = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "date": pa.date32(),
    "null": pa.null(),
}


def compute_features(contract: Contract, table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Return a table with those of the named columns that are features, computed.

    Each value depends only on its own row. A number is float64, a category is a string. A feature
    that the table has already is kept as it is.

    Args:
        contract: contract that declares the features.
        table: applications with the columns that these features read, look-ups included.
        names: names of columns. Names that are no features are ignored.
    """
    needed = contract.derived.closure(names)
    if not needed & contract.derived.features.keys():
        return table
    timezone = contract.schedules.timezone
    values: dict[str, Values] = {}
    for name, expression in contract.derived.features.items():
        if name in needed and name not in table.column_names:
            found = _evaluate(expression, table, timezone, values)
            table = table.append_column(name, _column(found, table.num_rows))
    return table


def _evaluate(
    expression: Expression, table: pa.Table, timezone: str, values: dict[str, Values]
) -> Values:
    """Return the value of an expression for each row, or a scalar if all rows have the same.

    Args:
        expression: expression of a feature.
        table: applications.
        timezone: time zone in which the day of a datetime is read.
        values: columns that were read already, by name.
    """
    if isinstance(expression, Operand):
        if expression.name not in values:
            values[expression.name] = _operand(expression, table, timezone)
        return values[expression.name]
    if isinstance(expression, Literals):
        return pa.scalar(expression.values[0], TYPES[expression.kind])
    listed = LISTED.get(expression.function)
    arguments = [
        each if place == listed else _evaluate(each, table, timezone, values)
        for place, each in enumerate(expression.arguments)
    ]
    return FUNCTIONS[expression.function](*arguments)


def _operand(operand: Operand, table: pa.Table, timezone: str) -> pa.Array:
    values = table.column(operand.name).combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if operand.kind == "number":
        return values.cast(pa.float64(), safe=False)
    if operand.kind == "date" and pa.types.is_timestamp(values.type):
        local = values.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", timezone))
        return pc.local_timestamp(local).cast(pa.date32(), safe=False)
    return values


def _column(values: Values, rows: int) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.repeat(values, rows)
    # A number may be of another type, such as the year of a constant.
    return array.cast(pa.float64()) if pa.types.is_integer(array.type) else array
