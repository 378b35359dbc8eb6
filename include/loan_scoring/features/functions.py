"""Compute each function of the expression language with Arrow, for all rows at once.

No function looks at another row. A null argument gives null, except where a function says
otherwise. A result that is no finite number, such as after a division by zero, is null.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract.language import Literals, bucket_levels

Values = Any
"""A pyarrow Array, or a Scalar that stands for the same value in every row."""

FIRST_NUMBER = r"(?P<number>(?:^-|\s-)?[0-9]+(?:\.[0-9]+)?)"
"""The first number in a text. A minus sign counts at the beginning and after a blank only."""
MOST_DIGITS = 300
"""A longer number would not be finite."""


def finite(values: Values) -> Values:
    """Return the numbers, with null in place of infinity and nan."""
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))


def _arithmetic(function: Callable[..., Values]) -> Callable[..., Values]:
    return lambda *values: finite(function(*values))


def _round(values: Values, digits: Literals | None = None) -> Values:
    """Round half away from zero, to a number of digits after the point.

    Arrow's round is not used, because it raises an error where a large number overflows.
    """
    places = 0 if digits is None else int(digits.values[0] or 0)
    numbers = _array(values).to_numpy(zero_copy_only=False)
    unit = 10.0 ** abs(places)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.abs(numbers * unit if places > 0 else numbers / unit)
        whole = np.floor(scaled)
        whole += scaled - whole >= 0.5
        rounded = np.copysign(whole / unit if places > 0 else whole * unit, numbers)
    # Such a large number has no digits after the point that could be rounded.
    rounded = np.where(np.isfinite(scaled), rounded, numbers)
    return finite(pa.array(rounded, from_pandas=True))


def _number_in(text: Values) -> Values:
    found = pc.struct_field(pc.extract_regex(text, FIRST_NUMBER), "number")
    is_short = pc.less_equal(pc.utf8_length(found), MOST_DIGITS)
    short = pc.if_else(is_short, pc.utf8_trim_whitespace(found), pa.scalar(None, pa.string()))
    return short.cast(pa.float64())


def _left(text: Values, characters: Literals) -> Values:
    return pc.utf8_slice_codeunits(text, 0, int(characters.values[0] or 0))


def _bucket(values: Values, edges: Literals) -> Values:
    """Return the name of the interval of each number. An edge belongs to the interval above."""
    numbers = _array(values).to_numpy(zero_copy_only=False)
    places = np.searchsorted(np.array(edges.values, dtype=float), numbers, side="right")
    names = pa.array(bucket_levels(edges), pa.string())
    return names.take(pa.array(places, mask=np.isnan(numbers)))


def _level_in(values: Values, levels: Literals) -> Values:
    found = pc.is_in(values, value_set=pa.array(levels.values, values.type))
    return pc.if_else(pc.is_valid(values), found, pa.scalar(None, pa.bool_()))


def _part(function: Callable[[Values], Values]) -> Callable[[Values], Values]:
    return lambda dates: function(dates).cast(pa.float64())


def _days_between(later: Values, earlier: Values) -> Values:
    later, earlier = (each.cast(pa.int32()).cast(pa.int64()) for each in (later, earlier))
    return pc.subtract(later, earlier).cast(pa.float64())


def _months_between(later: Values, earlier: Values) -> Values:
    """Return the number of completed months from `earlier` to `later`, negative if in reverse.

    A month is complete on the same day of a later month. If that month is shorter, it is complete
    on its last day.
    """
    length = max(len(each) if isinstance(each, pa.Array) else 1 for each in (later, earlier))
    first, second = (_array(each, length) for each in (later, earlier))
    is_null = pc.or_(first.is_null(), second.is_null()).to_numpy(zero_copy_only=False)
    a, b = (each.cast(pa.int32()).fill_null(0).to_numpy() for each in (first, second))
    months = np.where(a >= b, _completed(np.maximum(a, b), np.minimum(a, b)), 0)
    months = np.where(a < b, -_completed(np.maximum(a, b), np.minimum(a, b)), months)
    return pa.array(months.astype(np.float64), mask=is_null)


def _completed(later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Return the completed months from earlier days to later days, as whole numbers."""
    days = [each.astype("datetime64[D]") for each in (later, earlier)]
    months = [each.astype("datetime64[M]") for each in days]
    day, wanted = ((d - m).astype(np.int64) for d, m in zip(days, months, strict=True))
    last = ((months[0] + 1).astype("datetime64[D]") - days[0]).astype(np.int64) == 1
    whole = (months[0] - months[1]).astype(np.int64)
    return np.asarray(whole - ((day < wanted) & ~last))


def _years_between(later: Values, earlier: Values) -> Values:
    years = pc.trunc(pc.divide(_months_between(later, earlier), 12.0))
    return pc.add(years, 0.0)  # without the sign of -0


def _array(values: Values, length: int = 1) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.repeat(values, length)


FUNCTIONS: dict[str, Callable[..., Values]] = {
    "add": _arithmetic(pc.add),
    "subtract": _arithmetic(pc.subtract),
    "multiply": _arithmetic(pc.multiply),
    "divide": _arithmetic(pc.divide),
    "less": pc.less,
    "less_equal": pc.less_equal,
    "greater": pc.greater,
    "greater_equal": pc.greater_equal,
    "equal": pc.equal,
    "not_equal": pc.not_equal,
    # Kleene's logic: false and null is false, true or null is true.
    "and": pc.and_kleene,
    "or": pc.or_kleene,
    "not": pc.invert,
    "if": pc.if_else,
    "is_null": pc.is_null,
    "coalesce": pc.coalesce,
    "min": lambda *values: pc.min_element_wise(*values, skip_nulls=False),
    "max": lambda *values: pc.max_element_wise(*values, skip_nulls=False),
    "abs": pc.abs,
    "log": _arithmetic(pc.ln),
    "round": _round,
    "months_between": _months_between,
    "years_between": _years_between,
    "days_between": _days_between,
    "year": _part(pc.year),
    "month": _part(pc.month),
    "bucket": _bucket,
    "number_in": _number_in,
    "upper": pc.utf8_upper,
    "lower": pc.utf8_lower,
    "left": _left,
    "level_in": _level_in,
}
"""How each function and operator of the language is computed."""
