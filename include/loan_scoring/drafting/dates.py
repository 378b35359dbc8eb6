"""Find the format in which a column of text writes dates."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
    "%d-%m-%Y", "%m-%d-%Y", "%b-%Y", "%b-%y", "%d-%b-%Y", "%d-%b-%y", "%d%b%Y", "%d%b%y",
    "%b %Y", "%B %Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m", "%m/%Y", "%m.%Y",
)  # fmt: skip
TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p")
ZONES = ("", "%z")
DIGITS = {8: ("%Y%m%d", "%d%m%Y"), 6: ("%Y%m", "%y%m%d"), 14: ("%Y%m%d%H%M%S",)}
"""Formats without punctuation, by their number of digits."""
NUMBERED = {
    "excel_days": (date(1899, 12, 30), 20_000, 73_051),
    "sas_days": (date(1960, 1, 1), 3_653, 40_000),
}
"""Formats that count days: day 0, and the first and the last day that is plausible."""
PLAUSIBLE = (date(1900, 1, 1), date(2100, 1, 1))
SHAPE = re.compile(r"[0-9]{1,4}[-/. ]?([0-9]{1,2}\b|[A-Za-z]{3})|[A-Za-z]{3,9}[- ][0-9]")
"""How a text that may be a date begins."""
WHOLE = re.compile(r"-?[0-9]{1,12}(\.0*)?", re.ASCII)
MOST_TRIED = 2_000
LEAST_SHARE = 0.95
"""A column is a date if so large a share of its values can be read."""
NEW = date(1987, 1, 1)
"""Business dates of loans that a lender still holds are rarely older."""


@dataclass(frozen=True)
class DateFormat:
    """The format of a column's dates, and what it makes of them.

    `others` are further formats that read every value too, so that a person must decide.
    """

    format: str | None
    """None is ISO 8601, which a contract need not declare."""
    is_datetime: bool
    first: date
    last: date
    unreadable: list[str]
    others: list[str]


def find_format(values: Sequence[str], has_date_name: bool) -> DateFormat | None:
    """Return the format that reads the values as dates, or None if they are no dates.

    Args:
        values: distinct texts of the column, without nulls.
        has_date_name: whether the header sounds like a date. Plain numbers are dates only then,
            or if all of them are valid days of six or eight digits.
    """
    tried = _evenly(values)
    length = Counter(map(len, tried)).most_common(1)[0][0]
    shape = next(text for text in tried if len(text) == length)
    if shape.removeprefix("-").removesuffix(".0").isdecimal():
        return _of_digits(values, tried, has_date_name)
    if not SHAPE.match(shape) or (shape.replace(".", "", 1).isdecimal() and not has_date_name):
        return None
    formats: list[str] = []
    for day in FORMATS:
        end = next((cut for cut in _ends(shape) if _reads(day, shape[:cut])), None)
        if end == len(shape):
            formats.append(day)
        elif end is not None:
            times = [f"{day}{shape[end]}{time}{zone}" for time in TIMES for zone in ZONES]
            formats += [each for each in times if _reads(each, shape)]
    return _best(formats, values, tried)


def _ends(shape: str) -> list[int]:
    """Return where the date of a text may end: at the end, or before the time of day."""
    time = re.search("[T ](?=[0-9]{1,2}:)", shape)
    return [time.start()] if time else [len(shape)]


def _of_digits(
    values: Sequence[str], tried: Sequence[str], has_date_name: bool
) -> DateFormat | None:
    lengths = {len(text) for text in tried}
    if len(lengths) == 1:
        formats = [f for f in DIGITS.get(lengths.pop(), ()) if f != "%y%m%d" or has_date_name]
        found = _best(formats, values, tried)
        # Six digits that all end in 01 to 12 are seldom amounts, but a few of them may be.
        if found is not None and (has_date_name or (len(values) >= 50 and not found.unreadable)):
            return found
    if not has_date_name or not all(WHOLE.fullmatch(text) for text in tried):
        return None
    numbers = [int(float(text)) for text in tried]
    readings = {}
    for name, (zero, low, high) in NUMBERED.items():
        if all(low <= number <= high for number in numbers):
            readings[name] = (zero + timedelta(min(numbers)), zero + timedelta(max(numbers)))
    if all(400_000_000 <= number <= 4_102_444_800 for number in numbers):
        ends = [datetime.fromtimestamp(n, UTC).date() for n in (min(numbers), max(numbers))]
        return DateFormat("unix_seconds", True, ends[0], ends[1], [], [])
    today = date.today()
    likely = [name for name, (low, high) in readings.items() if low >= NEW and high <= today]
    if not readings:
        return None
    name = next(iter(likely or readings))
    return DateFormat(name, False, *readings[name], [], [each for each in likely if each != name])


def _best(formats: Sequence[str], values: Sequence[str], tried: Sequence[str]) -> DateFormat | None:
    found = []
    for format_ in formats:
        read = [day for text in tried if (day := _read(format_, text)) is not None]
        if len(read) >= LEAST_SHARE * len(tried):
            found.append((len(read), format_, min(read), max(read)))
    if not found:
        return None
    most = max(count for count, *_ in found)
    best = [each for each in found if each[0] == most]
    _, format_, first, last = best[0]
    unreadable = [text for text in values if _read(format_, text) is None]
    is_datetime = "%H" in format_ or "%I" in format_
    is_iso = format_ == "%Y-%m-%d" or (is_datetime and format_.startswith("%Y-%m-%d"))
    others = [each[1] for each in best[1:] if each[2:] != (first, last)]
    return DateFormat(None if is_iso else format_, is_datetime, first, last, unreadable, others)


def _read(format_: str, text: str) -> date | None:
    try:
        found = datetime.strptime(text, format_).date()
    except ValueError:
        return None
    return found if PLAUSIBLE[0] <= found < PLAUSIBLE[1] else None


def _reads(format_: str, text: str) -> bool:
    return _read(format_, text) is not None


def _evenly(values: Sequence[str]) -> list[str]:
    """Return at most MOST_TRIED values, from all parts of the column."""
    return list(values[:: max(1, len(values) // MOST_TRIED)])[:MOST_TRIED]
