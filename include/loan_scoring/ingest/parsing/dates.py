"""Read text as dates or as times. Each distinct text is read once, in Arrow.

A format means what `datetime.strptime` means by it. Names of months are English. Calendar and
clock are checked: 2026-02-30 and 24:00 are neither a date nor a time.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract.column_rules import DAYS, SECONDS

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

CODES = {
    "Y": "(?P<Y>[0-9]{4})",
    "y": "(?P<y>[0-9]{2})",
    "m": "(?P<m>1[0-2]|0[1-9]|[1-9])",
    "b": f"(?P<b>{'|'.join(month[:3] for month in MONTHS)})",
    "B": f"(?P<B>{'|'.join(MONTHS)})",
    "d": "(?P<d>3[0-1]|[1-2][0-9]|0[1-9]|[1-9]| [1-9])",
    "a": f"(?:{'|'.join(day[:3] for day in WEEKDAYS)})",
    "A": f"(?:{'|'.join(WEEKDAYS)})",
    "H": "(?P<H>2[0-3]|[0-1][0-9]|[0-9])",
    "I": "(?P<I>1[0-2]|0[1-9]|[1-9])",
    "p": "(?P<p>am|pm)",
    "M": "(?P<M>[0-5][0-9]|[0-9])",
    "S": "(?P<S>[0-5][0-9]|[0-9])",
    "f": "(?P<f>[0-9]{1,6})",
    "z": "(?P<z>[+-][0-9]{2}:?[0-5][0-9]|(?-i:Z))",
    "%": "%",
}
"""The pattern of each code of a format, as in Python's `_strptime`."""
ISO_DATE = "^(?P<Y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})$"
ISO_MIDNIGHT = ISO_DATE[:-1] + r"(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?$"
"""A date as a Parquet file may have it: a time whose time of day is midnight."""
ISO_TIME = ISO_DATE[:-1] + (
    r"(?:[T ](?P<H>[0-1][0-9]|2[0-3]):(?P<M>[0-5][0-9])"
    r"(?::(?P<S>[0-5][0-9])(?:[.,](?P<f>[0-9]{1,9}))?)?"
    r"(?P<z>Z|[+-][0-9]{2}(?::?[0-5][0-9])?)?)?$"
)
COUNT = r"^(?P<sign>[+-]?)(?P<whole>[0-9]{1,12})(?:\.(?P<part>[0-9]*))?$"
"""A number of days or of seconds."""
FIRST_DAYS = {"sas_days": -3653, "excel_days": -25569}
"""Day 0 of a count, in days from 1970-01-01."""
EXCEL_LOWEST = 61
"""The first day of a spreadsheet that is counted right, because day 60 is 29 February 1900."""
DAY = 86_400_000_000
"""Microseconds of a day."""
LATE = 24_472 * DAY
"""2037-01-01. From 2038 on, Arrow knows no summer time."""
LOWEST, HIGHEST = -719_162 * DAY, 2_932_897 * DAY
"""From 0001-01-01 to before 10000-01-01, in microseconds from 1970-01-01."""


def parse_dates(
    text: pa.Array, formats: Sequence[str] = (), *, may_be_midnight: bool = False
) -> tuple[pa.Array, np.ndarray]:
    """Return text as dates, date32, and a mask of the texts that are not a date.

    Such texts become null, as null does.

    Args:
        text: trimmed texts.
        formats: formats of strptime or words, tried in order. If empty, ISO 8601: YYYY-MM-DD.
        may_be_midnight: whether ISO 8601 includes times of day that are midnight.
    """
    if not formats and (plain := _cast(text, pa.date32())) is not None:
        return plain, np.zeros(len(text), dtype=bool)
    iso = ISO_MIDNIGHT if may_be_midnight else ISO_DATE
    distinct, codes = _distinct(text)
    local, _ = _read(distinct, formats, iso)
    days = pc.divide(local, DAY)
    is_whole = pc.equal(pc.multiply(days, DAY), local)
    days = pc.if_else(is_whole, days, pa.scalar(None, pa.int64()))
    return _spread(days.cast(pa.int32()).cast(pa.date32()), codes, text)


def parse_times(
    text: pa.Array, formats: Sequence[str] = (), timezone: str = "UTC"
) -> tuple[pa.Array, np.ndarray]:
    """Return text as times in UTC, timestamp[us], and a mask of the texts that are not a time.

    A time that the change to winter time repeats is the first of both. A time that the change to
    summer time leaves out is moved forward by the change. Python's `zoneinfo` does the same.

    Args:
        text: trimmed texts.
        formats: formats of strptime or words, tried in order. If empty, ISO 8601.
        timezone: time zone of the texts without an offset.
    """
    if not formats and (plain := _cast(text, pa.timestamp("us"))) is not None:
        utc = _within_calendar(_in_utc(plain.cast(pa.int64()), timezone))
        if utc.null_count == text.null_count:
            return utc.cast(pa.timestamp("us", "UTC")), np.zeros(len(text), dtype=bool)
    distinct, codes = _distinct(text)
    local, offset = _read(distinct, formats, ISO_TIME)
    utc = pc.if_else(offset.is_valid(), pc.subtract(local, offset), _in_utc(local, timezone))
    utc = _within_calendar(utc)
    return _spread(utc.cast(pa.timestamp("us", "UTC")), codes, text)


def _cast(text: pa.Array, type_: pa.DataType) -> pa.Array | None:
    """Return texts as dates or times, all at once, if all are plain ISO 8601. Else return None.

    The cast takes a third of the time, but refuses offsets, and also reads the year 0000 and a time
    of an hour alone, such as 2026-01-05 13.
    """
    if pc.any(pc.equal(pc.binary_length(text), 13)).as_py():
        return None
    try:
        values = text.cast(type_)
    except pa.ArrowInvalid:
        return None
    lowest = pc.min(values.cast(pa.int32() if pa.types.is_date(type_) else pa.int64())).as_py()
    first = LOWEST // DAY if pa.types.is_date(type_) else LOWEST
    return values if lowest is None or lowest >= first else None


def _distinct(text: pa.Array) -> tuple[pa.Array, pa.Array]:
    encoded = text.dictionary_encode()
    return encoded.dictionary, encoded.indices


def _spread(values: pa.Array, codes: pa.Array, text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    found = values.take(codes)
    wrong = pc.and_(found.is_null(), text.is_valid())
    return found, np.asarray(wrong.to_numpy(zero_copy_only=False), dtype=bool)


def _read(text: pa.Array, formats: Sequence[str], iso: str) -> tuple[pa.Array, pa.Array]:
    """Return local times and offsets, both as int64 microseconds, or null.

    The offset is null where the text has none.
    """
    local, offset = pa.nulls(len(text), pa.int64()), pa.nulls(len(text), pa.int64())
    for each in formats or [""]:
        if local.null_count == text.null_count and len(text):
            break  # the formats before have read all texts
        if each in DAYS or each == SECONDS:
            found = _counted(text, each)
        else:
            found = _calendar(text, format_pattern(each) if each else iso)
        is_new = pc.and_(local.is_null(), found[0].is_valid())
        local = pc.if_else(is_new, found[0], local)
        offset = pc.if_else(is_new, found[1], offset)
    return local, offset


def format_pattern(text: str) -> str:
    """Return the pattern of a format, in which blanks stand for one blank or more.

    >>> format_pattern("%Y %m")
    '(?i)^(?P<Y>[0-9]{4})\\\\s+(?P<m>1[0-2]|0[1-9]|[1-9])$'
    """
    parts = re.findall(r"%.|\\s+|[^%\\s]+", text)
    found = (
        CODES[part[1]] if part[0] == "%" else r"\s+" if part.isspace() else re.escape(part)
        for part in parts
    )
    return f"(?i)^{''.join(found)}$"


def _calendar(text: pa.Array, pattern: str) -> tuple[pa.Array, pa.Array]:
    fields = pc.extract_regex(text, pattern)
    names = {field.name for field in fields.type}

    def number(name: str, default: int) -> pa.Array:
        if name not in names:
            return pa.scalar(default, pa.int64())
        found = pc.utf8_ltrim_whitespace(pc.struct_field(fields, name))
        found = pc.if_else(pc.equal(found, ""), str(default), found)
        return found.cast(pa.int64())

    if "Y" in names:
        year = number("Y", 0)
    else:
        year = number("y", 0)
        year = pc.add(year, pc.if_else(pc.less_equal(year, 68), 2000, 1900))  # as POSIX says
    month = number("m", 1)
    for code, length in (("b", 3), ("B", None)):
        if code in names:
            words = pa.array([each[:length] for each in MONTHS])
            found = pc.utf8_lower(pc.struct_field(fields, code))
            month = pc.add(pc.index_in(found, value_set=words).cast(pa.int64()), 1)
    days = _days(year, month, number("d", 1), fields)
    hour = number("H", 0)
    if "I" in names:
        is_pm = pc.equal(pc.utf8_lower(pc.struct_field(fields, "p")), "pm")
        hour = number("I", 12)
        hour = pc.add(pc.if_else(pc.equal(hour, 12), 0, hour), pc.if_else(is_pm, 12, 0))
    seconds = pc.add(
        pc.multiply(hour, 3600), pc.add(pc.multiply(number("M", 0), 60), number("S", 0))
    )
    local = pc.add(pc.multiply(days, DAY), pc.multiply(seconds, 1_000_000))
    if "f" in names:
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(fields, "f"), 6, "0"), 0, 6)
        local = pc.add(local, digits.cast(pa.int64()))
    offset = _offsets(pc.struct_field(fields, "z")) if "z" in names else _none(text)
    return local, offset


def _none(text: pa.Array) -> pa.Array:
    return pa.nulls(len(text), pa.int64())


def _days(year: pa.Array, month: pa.Array, day: pa.Array, fields: pa.Array) -> pa.Array:
    """Return days from 1970-01-01. A day that is not in the calendar is null."""
    rows = len(fields)

    def whole(values: pa.Array) -> np.ndarray:
        if isinstance(values, pa.Scalar):
            return np.full(rows, values.as_py())
        return np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False))

    years, months, dates = whole(year), whole(month), whole(day)
    first = (years - 1970).astype("M8[Y]").astype("M8[M]") + (months - 1)
    days = first.astype("M8[D]") + (dates - 1)
    is_valid = np.asarray(fields.is_valid()) & (years >= 1) & (months >= 1) & (months <= 12)
    is_valid &= (dates >= 1) & (days.astype("M8[M]") == first)
    return pa.array(days.astype(np.int64), mask=~is_valid)


def _offsets(text: pa.Array) -> pa.Array:
    """Return offsets from UTC in microseconds. The text "" has none."""
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    plain = pc.replace_substring(
        pc.if_else(pc.match_substring_regex(text, "(?i)z"), "+0000", text), ":", ""
    )
    plain = pc.utf8_rpad(plain, 5, "0")
    hours = pc.utf8_slice_codeunits(plain, 1, 3).cast(pa.int64())
    minutes = pc.utf8_slice_codeunits(plain, 3, 5).cast(pa.int64())
    size = pc.multiply(pc.add(pc.multiply(hours, 60), minutes), 60_000_000)
    is_valid = pc.less(hours, 24)
    size = pc.if_else(is_valid, size, pa.scalar(None, pa.int64()))
    return pc.if_else(pc.starts_with(plain, "-"), pc.negate(size), size)


def _counted(text: pa.Array, word: str) -> tuple[pa.Array, pa.Array]:
    """Return counted days or seconds as microseconds, and offsets.

    A part of a day is rounded to milliseconds, because a spreadsheet program writes no more.
    """
    fields = pc.extract_regex(text, COUNT)
    whole = pc.struct_field(fields, "whole").cast(pa.int64())
    part = pc.struct_field(fields, "part")
    if word == SECONDS:
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(part, 6, "0"), 0, 6).cast(pa.int64())
        size = pc.add(pc.multiply(whole, 1_000_000), digits)
    else:
        share = pc.binary_join_element_wise("0.", pc.utf8_rpad(part, 1, "0"), "").cast(pa.float64())
        milliseconds = pc.round(pc.multiply(share, 86_400_000.0)).cast(pa.int64())
        whole = pc.if_else(pc.less(whole, 10_000_000), whole, pa.scalar(None, pa.int64()))
        size = pc.add(pc.multiply(whole, DAY), pc.multiply(milliseconds, 1000))
    size = pc.if_else(pc.equal(pc.struct_field(fields, "sign"), "-"), pc.negate(size), size)
    if word == SECONDS:
        return _within_calendar(size), pc.if_else(size.is_valid(), 0, None).cast(pa.int64())
    if word == "excel_days":
        size = pc.if_else(pc.less(size, EXCEL_LOWEST * DAY), pa.scalar(None, pa.int64()), size)
    return _within_calendar(pc.add(size, FIRST_DAYS[word] * DAY)), _none(text)


def _within_calendar(microseconds: pa.Array) -> pa.Array:
    is_within = pc.and_(pc.greater_equal(microseconds, LOWEST), pc.less(microseconds, HIGHEST))
    return pc.if_else(is_within, microseconds, pa.scalar(None, pa.int64()))


def _in_utc(local: pa.Array, timezone: str) -> pa.Array:
    if timezone == "UTC":
        return local
    is_late = pc.greater_equal(local, LATE)
    if pc.any(is_late).as_py():
        late = [_late_in_utc(each, timezone) for each in local.filter(is_late).to_pylist()]
        early = _in_utc(pc.if_else(is_late, pa.scalar(None, pa.int64()), local), timezone)
        return pc.replace_with_mask(early, is_late.fill_null(False), pa.array(late, pa.int64()))
    naive = local.cast(pa.timestamp("us"))
    at = pc.assume_timezone(naive, timezone, ambiguous="earliest", nonexistent="earliest")
    # A time that does not exist became the last time before the gap. The offset there moves the
    # time forward by the gap.
    offset = pc.subtract(pc.local_timestamp(at).cast(pa.int64()), at.cast(pa.int64()))
    return pc.subtract(local, offset)


def _late_in_utc(local: int, timezone: str) -> int:
    at = datetime(1970, 1, 1) + timedelta(microseconds=local)
    offset = at.replace(tzinfo=ZoneInfo(timezone)).utcoffset() or timedelta()
    return local - offset // timedelta(microseconds=1)
