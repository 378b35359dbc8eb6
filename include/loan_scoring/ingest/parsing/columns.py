"""Read one column of a block in the contract's type, and find the rules that its values break.

The verdict on a value never depends on the other values of its block.
"""

import math
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import KEY, Column
from loan_scoring.database.types import ARROW_TYPES
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.parsing.dates import parse_dates, parse_times
from loan_scoring.ingest.parsing.numbers import (
    as_floats,
    as_mask,
    has_exponent,
    parse_numbers,
    without_nulls,
)
from loan_scoring.ingest.parsing.texts import parse_booleans, parse_levels, parse_uuids

Broken = list[tuple[str, np.ndarray]]
"""Pairs of a rule's name, as `rule:column`, and a mask of the rows that break the rule."""


def parse_column(column: Column, block: Block, timezone: str = "UTC") -> tuple[pa.Array, Broken]:
    """Return one column of a block in the contract's type, and the rules that its values break.

    A value that cannot be read is null. If the block lacks the column, all values are null.

    Args:
        column: column of the contract.
        block: rows as text.
        timezone: time zone of the times without an offset.
    """
    if column.source not in block.table.column_names:
        return pa.nulls(block.table.num_rows, ARROW_TYPES[column.type]), []
    text = block.table.column(column.source).combine_chunks()
    faults: Broken = []
    if column.name == KEY and (written := has_exponent(column, text)) is not None:
        text = pc.if_else(pa.array(written), "", text)
        faults.append((f"exponent_key:{KEY}", written))
    values, rule, unreadable = _read(column, text, block.kinds.get(column.source), timezone)
    if unreadable is not None and unreadable.any():
        faults.append((f"{rule}:{column.name}", unreadable))
    outside = None
    if column.date_bounds != (None, None):
        outside = _outside_dates(values, column, timezone)
    elif column.range is not None:
        outside = _outside(values, column)
    if outside is not None and outside.any():
        faults.append((f"out_of_range:{column.name}", outside))
    return values, faults


def _read(
    column: Column, text: pa.Array, kind: str | None, timezone: str
) -> tuple[pa.Array, str, np.ndarray | None]:
    """Return values, the rule that unreadable texts break, and a mask of these texts.

    Args:
        column: column of the contract.
        text: texts of the column.
        kind: kind of the values that the texts were made of, as in `Block.kinds`.
        timezone: time zone of the times without an offset.
    """
    if column.is_numeric:
        return _with_rule("not_a_number", parse_numbers(column, text, is_plain=kind == "number"))
    text = without_nulls(pc.utf8_trim_whitespace(text), column)
    if column.type == "boolean":
        if kind == "boolean":
            column = column.model_copy(update={"is_true": None, "is_false": None})
        return _with_rule("not_a_boolean", parse_booleans(column, text))
    formats = [] if kind == "time" else column.formats
    if column.type == "date":
        found = parse_dates(text, formats, may_be_midnight=kind == "time")
        return _with_rule("not_a_date", found)
    if column.type == "datetime":
        return _with_rule("not_a_date", parse_times(text, formats, timezone))
    if column.type == "uuid":
        return _with_rule("not_a_uuid", parse_uuids(text))
    if column.type == "text":
        return text, "", None
    return _with_rule("unknown_level", parse_levels(column, text))


def _with_rule(
    rule: str, found: tuple[pa.Array, np.ndarray | None]
) -> tuple[pa.Array, str, np.ndarray | None]:
    return found[0], rule, found[1]


def _outside(values: pa.Array, column: Column) -> np.ndarray:
    """Return a mask of the numbers that are outside the column's range.

    Integers are compared as integers, because float64 rounds them beyond 2^53.
    """
    low, high = column.bounds
    outside = np.zeros(len(values), dtype=bool)
    is_whole = column.type == "integer"
    numbers = values.fill_null(0).to_numpy() if is_whole else as_floats(values)
    if low is not None and math.isfinite(low):
        outside |= numbers < (math.ceil(low) if is_whole else low)
    if high is not None and math.isfinite(high):
        outside |= numbers > (math.floor(high) if is_whole else high)
    return outside & as_mask(values.is_valid()) if outside.any() else outside


def _outside_dates(values: pa.Array, column: Column, timezone: str) -> np.ndarray:
    """Return a mask of the dates or times that are outside the column's range of dates."""
    low, high = column.date_bounds
    outside = np.zeros(len(values), dtype=bool)
    if low is not None:
        outside |= as_mask(pc.less(values, _start(low, values.type, timezone)).fill_null(False))
    if high is not None and high < date.max:
        after = _start(high + timedelta(days=1), values.type, timezone)
        outside |= as_mask(pc.greater_equal(values, after).fill_null(False))
    return outside


def _start(day: date, type_: pa.DataType, timezone: str) -> pa.Scalar:
    """Return a date, or the time at which the date starts in the time zone."""
    if pa.types.is_date(type_):
        return pa.scalar(day, type_)
    return pa.scalar(datetime.combine(day, time.min, ZoneInfo(timezone)), type_)
