"""A value is read by its own text alone, as an independent reader of Python reads it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loan_scoring.contract import Column
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.parsing.columns import parse_column

Verdict = tuple[Any, str | None]
"""A value and None, or None and the rule that the text breaks."""


def column(type_: str, **fields: Any) -> Column:
    common = {"source": "s", "name": "s", "label": "s", "known": "application"}
    return Column.model_validate(common | {"type": type_} | fields)


def read(of: Column, texts: list[str], kind: str = "", timezone: str = "UTC") -> list[Verdict]:
    block = Block(
        pa.table({"s": pa.array(texts, pa.string())}), np.arange(len(texts)), [],
        kinds={"s": kind} if kind else {},
    )  # fmt: skip
    values, faults = parse_column(of, block, timezone)
    rules: list[str | None] = [None] * len(texts)
    for rule, mask in faults:
        for row in np.flatnonzero(mask):
            rules[row] = rules[row] or rule.removesuffix(":s")
    return [
        (None, rule) if rule else (value, None)
        for value, rule in zip(values.to_pylist(), rules, strict=True)
    ]


def is_read_alone(of: Column, texts: list[str], timezone: str = "UTC") -> list[Verdict]:
    """Return the verdicts on texts in one block, after comparing them with those of each alone."""
    together = read(of, texts, timezone=timezone)
    assert together == [read(of, [text], timezone=timezone)[0] for text in texts]
    return together


NOTATIONS: list[dict[str, Any]] = [
    {"type": "number", "decimal": ","},
    {"type": "number", "decimal": ",", "thousands": "."},
    {"type": "money", "thousands": ",", "currency": "$"},
    {"type": "money", "decimal": ",", "thousands": " ", "currency": "EUR"},
    {"type": "money", "thousands": "'", "currency": "CHF"},
    {"type": "percent"},
    {"type": "percent", "decimal": ","},
    {"type": "integer", "thousands": "."} | {"decimal": ","},
]


def reference_number(of: Column, text: str) -> Verdict:
    """Read a number by splitting the text, without a regular expression over the whole of it."""
    wrong, text = (None, "not_a_number"), text.strip()
    if not text:
        return None, None
    if of.currency and of.currency in text:
        for sign in ("+", "-", ""):
            if text.startswith(sign + of.currency):
                text = sign + (text[len(sign + of.currency) :].removeprefix(" "))
                break
        else:
            if not text.endswith(of.currency):
                return wrong
            text = text.removesuffix(of.currency).removesuffix(" ")
    if of.type == "percent" and text.endswith("%"):
        text = text[:-1].removesuffix(" ")
    sign = text[:1] if text[:1] in "+-" else ""
    text = text[len(sign) :]
    mantissa, mark, exponent = text, "", ""
    for e in "eE":
        if e in text:
            mantissa, mark, exponent = text.partition(e)
            break
    whole, _, part = mantissa.partition(of.decimal)
    if of.thousands and of.thousands in whole:
        first, *middle, last = whole.split(of.thousands)
        groups = [first, *middle, last]
        fits = len(first) in (1, 2, 3) and len(last) == 3 and all(len(m) in (2, 3) for m in middle)
        if not fits or not all(map(is_digits, groups)):
            return wrong
        whole = "".join(groups)
    if (whole and not is_digits(whole)) or (part and not is_digits(part)) or not whole + part:
        return wrong
    if mark and not is_digits(exponent[1:] if exponent[:1] in "+-" else exponent):
        return wrong
    value = Decimal(f"{sign}{whole or '0'}.{part or '0'}{'E' + exponent if mark else ''}")
    if of.type == "integer":
        if value != value.to_integral_value() or not -(2**63) <= value < 2**63:
            return wrong
        return int(value), None
    found = float(value)
    return (None, "not_a_number") if found in (float("inf"), -float("inf")) else (found, None)


def is_digits(text: str) -> bool:
    return text != "" and text.isascii() and text.isdigit()


numerals = st.builds(
    lambda sign, number, digits, signs, before, after: (
        f"{sign}{before}{number:,.{digits}f}".translate(str.maketrans(",.", signs)) + after
    ),
    st.sampled_from(["", "", "-", "+"]),
    st.integers(-(10**7), 10**7).map(lambda cents: Decimal(abs(cents)) / 100),
    st.integers(0, 3),
    st.sampled_from([",.", ".,", " ,", "'.", "..", ",,"]),
    st.sampled_from(["", "", "$", "$ ", "EUR ", "CHF", "-$"]),
    st.sampled_from(["", "", " ", "%", " %", " EUR", "$", "e3", "x", "%%"]),
)
junk = st.text("0123456789+-.,' $%eEURCHFx", max_size=9)


@pytest.mark.parametrize("notation", NOTATIONS, ids=str)
@settings(deadline=None)
@given(texts=st.lists(st.one_of(numerals, junk), min_size=1, max_size=6))
def test_a_number_in_a_notation_is_what_decimal_reads(
    notation: dict[str, Any], texts: list[str]
) -> None:
    of = column(**{"type_" if name == "type" else name: each for name, each in notation.items()})
    for text, found in zip(texts, is_read_alone(of, texts), strict=True):
        assert found == reference_number(of, text), text


@pytest.mark.parametrize(
    ("notation", "text", "value"),
    [
        ({"type_": "number", "decimal": ","}, "7151,03", 7151.03),
        ({"type_": "number", "decimal": ","}, "7151.03", None),
        ({"type_": "number", "decimal": ",", "thousands": "."}, "25.024,04", 25024.04),
        ({"type_": "number", "decimal": ",", "thousands": "."}, "7.15", None),
        ({"type_": "number", "thousands": ","}, "1,50,000.5", 150000.5),
        ({"type_": "number", "thousands": ","}, "1,50", None),
        ({"type_": "money", "thousands": ",", "currency": "$"}, "$7,151.03 ", 7151.03),
        ({"type_": "money", "thousands": ",", "currency": "$"}, "-$5", -5.0),
        ({"type_": "money", "thousands": ",", "currency": "$"}, "$-5", -5.0),
        ({"type_": "money", "thousands": ",", "currency": "$"}, "$5$", None),
        ({"type_": "money", "thousands": " ", "currency": "kr"}, "1\u00a0500 kr", 1500.0),
        ({"type_": "percent"}, "19.57%", 19.57),
        ({"type_": "percent"}, "19.57 %", 19.57),
        ({"type_": "percent"}, "19.57", 19.57),
        ({"type_": "integer", "decimal": ",", "thousands": "."}, "1.000,0", 1000),
        ({"type_": "integer", "decimal": ",", "thousands": "."}, "1,5", None),
    ],
)
def test_numbers_of_lenders(notation: dict[str, Any], text: str, value: float | None) -> None:
    assert read(column(**notation), [text]) == [(value, None if value else "not_a_number")]


def test_null_tokens_are_numbers_in_the_notation_of_the_column() -> None:
    of = column("number", decimal=",", null_tokens=["-999,5", "NA", "1.5"])
    texts = ["-999,50", "-9,995e2", "NA", "", "1,5", "999,5"]
    assert read(of, texts) == [(None, None)] * 4 + [(1.5, None), (999.5, None)]


FORMATS = [
    "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%y", "%b-%Y", "%d-%b-%y", "%B %d, %Y", "%Y%m%d", "%y%m%d",
    "%a %d %b %Y", "%Y", "%%%Y-%m",
]  # fmt: skip
TIMES = [
    "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %I:%M %p", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S.%f",
    "%d %b %Y %H:%M %z", "%A %Y-%m-%d %H",
]  # fmt: skip
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
    lambda at: at.replace(tzinfo=UTC)
)
AROUND = "0123456789-/. :,JanFebMAYpmZ+"


def reference_time(formats: list[str], text: str) -> datetime | None:
    for each in formats:
        try:
            return datetime.strptime(text.strip(), each)
        except ValueError:
            pass
    return None


@settings(deadline=None)
@given(
    formats=st.lists(st.sampled_from(FORMATS), min_size=1, max_size=3, unique=True),
    given=st.lists(
        st.tuples(moments, st.integers(0, 20), st.text(AROUND, max_size=2)), min_size=1, max_size=6
    ),
    others=st.lists(st.text(AROUND, max_size=10), max_size=3),
)
def test_a_date_in_a_format_is_what_strptime_reads(
    formats: list[str], given: list[tuple[datetime, int, str]], others: list[str]
) -> None:
    texts = [spoilt(at.strftime(formats[place % len(formats)]), place, more)
             for place, (at, _, more) in enumerate(given)]  # fmt: skip
    of = column("date", format=formats)
    texts += others
    for text, (value, rule) in zip(texts, is_read_alone(of, texts), strict=True):
        expected = reference_time(formats, text) if text.strip() else None
        assert value == (expected and expected.date()), (formats, text)
        assert rule == ("not_a_date" if text.strip() and expected is None else None), text


@settings(deadline=None)
@given(
    form=st.sampled_from(TIMES),
    given=st.lists(
        st.tuples(moments, st.integers(0, 40), st.text(AROUND, max_size=1)), min_size=1, max_size=6
    ),
)
def test_a_time_in_a_format_is_what_strptime_reads_in_the_time_zone(
    form: str, given: list[tuple[datetime, int, str]]
) -> None:
    texts = [spoilt(at.strftime(form), place, more) for at, place, more in given]
    of, zone = column("datetime", format=form), ZoneInfo("Europe/Berlin")
    found = is_read_alone(of, texts, "Europe/Berlin")
    for text, (value, _) in zip(texts, found, strict=True):
        expected = reference_time([form], text)
        if expected is not None and date(2, 1, 1) <= expected.date() <= date(9998, 12, 31):
            expected = expected if expected.tzinfo else expected.replace(tzinfo=zone)
            assert value == expected.astimezone(UTC), text
        elif expected is None:
            assert value is None, text


def spoilt(text: str, place: int, more: str) -> str:
    """Return a text with a sign more at a place, or the text itself if nothing is given."""
    return text[:place] + more + text[place:]


@settings(deadline=None)
@given(
    st.datetimes(datetime(1890, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["", "Z", "+00:00", "-0530", "+02"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_an_iso_time_is_what_python_reads(at: datetime, offset: str, timezone: str) -> None:
    text = f"{at.isoformat(' ')}{offset}"
    expected = datetime.fromisoformat(text)
    if not offset:
        expected = expected.replace(tzinfo=ZoneInfo(timezone))
    assert read(column("datetime"), [text], timezone=timezone) == [(expected.astimezone(UTC), None)]


@settings(deadline=None)
@given(st.text("0123456789-T:. Z+", max_size=20))
def test_what_is_read_as_an_iso_date_or_time_python_reads_too(text: str) -> None:
    for type_, reads in (("date", date.fromisoformat), ("datetime", datetime.fromisoformat)):
        value, rule = read(column(type_), [text])[0]
        if value is not None:
            assert reads(text.strip()) in (value, value if type_ == "date" else value.replace(
                tzinfo=None)) or datetime.fromisoformat(text.strip()).tzinfo  # fmt: skip
        assert rule == (None if value is not None or not text.strip() else "not_a_date")


@settings(deadline=None)
@given(st.integers(-(10**6), 3 * 10**6), st.sampled_from(["", ".0", ".25", ".5", ".125"]))
def test_counted_days_are_those_of_the_programs(days: int, part: str) -> None:
    text, number = f"{days}{part}", Decimal(f"{days}{part}")
    for word, first in (("sas_days", datetime(1960, 1, 1)), ("excel_days", datetime(1899, 12, 30))):
        share = timedelta(milliseconds=float(abs(number) % 1) * 86_400_000)
        expected: datetime | None = None
        try:
            size = timedelta(days=int(abs(number))) + share
            expected = first + (-size if text.startswith("-") else size)
        except OverflowError:
            pass
        if word == "excel_days" and number < 61:
            expected = None
        value, _ = read(column("datetime", format=word), [text])[0]
        assert value == (expected and expected.replace(tzinfo=UTC))
        day, _ = read(column("date", format=word), [text])[0]
        is_midnight = expected is not None and expected.time() == datetime.min.time()
        assert day == (expected.date() if expected is not None and is_midnight else None)


@settings(deadline=None)
@given(st.integers(-(10**9), 4 * 10**9), st.sampled_from(["", ".5", ".123456"]))
def test_unix_seconds_are_in_utc_in_every_time_zone(seconds: int, part: str) -> None:
    of = column("datetime", format="unix_seconds")
    size = timedelta(microseconds=int(abs(Decimal(f"{seconds}{part}")) * 1_000_000))
    expected = datetime(1970, 1, 1, tzinfo=UTC) + (-size if seconds < 0 else size)
    assert read(of, [f"{seconds}{part}"], timezone="Asia/Tokyo") == [(expected, None)]


@settings(deadline=None)
@given(
    texts=st.lists(
        st.one_of(st.sampled_from(["Y", "N", "y", "n", "1", "NA", "", " Y ", "yes", "Ä", "ä"]),
                  st.text(max_size=2)), min_size=1, max_size=6,
    ),
    is_case_ignored=st.booleans(),
)  # fmt: skip
def test_a_boolean_is_one_of_its_texts(texts: list[str], is_case_ignored: bool) -> None:
    of = column("boolean", is_true=["Y", "1", "Ä"], is_false=["N"], null_tokens=["NA"],
                ignore_case=is_case_ignored)  # fmt: skip
    known = {"Y": True, "1": True, "Ä": True, "N": False}
    if is_case_ignored:
        known |= {"y": True, "ä": True, "n": False}
    texts = [text for text in texts if "\x00" not in text and text.strip() == text.strip(" ")]
    for text, found in zip(texts, is_read_alone(of, texts), strict=True):
        plain = text.strip()
        is_null = plain in ("", "NA")
        value = known.get(plain)
        assert found == (value, None if is_null or value is not None else "not_a_boolean"), text


@settings(deadline=None)
@given(
    texts=st.lists(st.sampled_from(["Fixed", "FIXED", "fixed", "None", "Öl", "ÖL", "x", "X", ""]),
                   min_size=1, max_size=6),
    levels=st.sampled_from([["fixed", "none", "Öl"], "free"]),
    is_open=st.booleans(),
)  # fmt: skip
def test_a_level_without_regard_to_case_is_stored_as_declared(
    texts: list[str], levels: Any, is_open: bool
) -> None:
    of = column("category", levels=levels, open_levels=is_open, ignore_case=True)
    declared = {} if levels == "free" else {level.lower(): level for level in levels}
    for text, found in zip(texts, is_read_alone(of, texts), strict=True):
        lower = text.lower()
        if not text or lower in declared:
            assert found == (declared.get(lower), None)
        else:
            assert found == ((lower, None) if of.is_open else (None, "unknown_level"))


@pytest.mark.parametrize(
    ("type_", "timezone", "outside", "inside"),
    [
        ("date", "UTC", ["1999-12-31", "2027-01-01"], ["2000-01-01", "2026-12-31"]),
        (
            "datetime", "Europe/Berlin",
            ["1999-12-31T23:59:59", "2026-12-31T23:00:00Z", "2027-01-01"],
            ["2000-01-01", "1999-12-31T23:00:00Z", "2026-12-31T22:59:59Z"],
        ),
    ],
)  # fmt: skip
def test_dates_have_a_range(
    type_: str, timezone: str, outside: list[str], inside: list[str]
) -> None:
    of = column(type_, range=[date(2000, 1, 1), date(2026, 12, 31)])
    assert [rule for _, rule in read(of, outside, timezone=timezone)] == ["out_of_range"] * len(
        outside
    )
    assert [rule for _, rule in read(of, inside, timezone=timezone)] == [None] * len(inside)


def test_a_block_without_the_column_is_null() -> None:
    block = Block(pa.table({"other": ["a", "b"]}), np.arange(2), [])
    for type_ in ("integer", "money", "boolean", "date", "datetime", "text"):
        values, faults = parse_column(column(type_), block)
        assert values.to_pylist() == [None, None]
        assert faults == []
