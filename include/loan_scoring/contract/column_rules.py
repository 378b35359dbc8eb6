"""Check that the fields of a column fit its type and each other.

Every function raises ValueError with a reason in one line. Pydantic adds the place.
"""

import re
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loan_scoring.contract.columns import Column
    from loan_scoring.contract.parts import Margin

NUMERIC = ("integer", "number", "money", "percent")
TIMES = ("date", "datetime")
STORED_ONLY = ("text", "date", "datetime", "uuid")
"""Types whose values are stored and never a feature."""

DAYS = ("sas_days", "excel_days")
"""Words for days that are counted from the first day of SAS (1960-01-01) or of spreadsheets."""
SECONDS = "unix_seconds"
"""Word for seconds that are counted from 1970-01-01 in UTC."""
DATE_CODES, TIME_CODES = "YymdbBaA", "HIpMSfz"
"""The codes of strptime that a format may have: those of a date, and those of a time of day."""

KNOWN_CODES = ", ".join(f"%{code}" for code in DATE_CODES + TIME_CODES)


def check_column(column: "Column") -> None:
    """Check all fields of a column that depend on its type."""
    _check_category(column)
    _check_boolean(column)
    _check_notation(column)
    _check_formats(column)
    _check_range(column)
    _check_presence(column)
    if column.calendar is not None and column.type != "integer":
        raise _only(column, "calendar", "an integer")
    if column.direction is not None and not column.is_numeric_feature:
        raise _only(column, "direction", "a number or a boolean")
    if column.special_codes and column.type not in NUMERIC:
        raise _only(column, "special_codes", "a number")
    if column.margin is not None:
        _check_margin(column, column.margin)


def _only(column: "Column", field: str, kind: str) -> ValueError:
    return ValueError(f"only {kind} has {field}; the type of this column is {column.type}")


def _check_category(column: "Column") -> None:
    if column.type != "category":
        for field in ("levels", "max_levels", "level_labels"):
            if getattr(column, field):
                raise _only(column, field, "a category")
        if column.ignore_case and column.type != "boolean":
            raise _only(column, "ignore_case", "a category or a boolean")
        return
    if column.levels is None and not column.open_levels:
        raise ValueError("a category needs levels or open_levels: true")
    if column.max_levels is not None and not column.is_open:
        raise ValueError("max_levels needs levels: free or open_levels: true")
    _refuse_repeated(column, "level", column.listed_levels)
    unknown = [] if column.is_open else sorted({*column.level_labels} - {*column.listed_levels})
    if unknown:
        raise ValueError(f"level_labels: '{unknown[0]}' is not a level")
    shown = Counter(
        [*column.level_labels.values(), *({*column.listed_levels} - {*column.level_labels})]
    )
    if shown and max(shown.values()) > 1:
        raise ValueError(
            f"level_labels: two levels are shown as '{shown.most_common(1)[0][0]}'; "
            "give each level its own label"
        )


def _check_boolean(column: "Column") -> None:
    for field in ("is_true", "is_false"):
        if column.type != "boolean" and getattr(column, field) is not None:
            raise _only(column, field, "a boolean")
    if column.type != "boolean":
        return
    if bool(column.is_true) != bool(column.is_false):
        raise ValueError("is_true and is_false go together: give the texts of both")
    _refuse_repeated(column, "text", [*column.texts[0], *column.texts[1], *column.null_tokens])


def _refuse_repeated(column: "Column", what: str, values: list[str]) -> None:
    if column.ignore_case:
        values = [value.lower() for value in values]
    for value, count in Counter(values).items():
        if count > 1:
            case = ", without regard to letter case" if column.ignore_case else ""
            raise ValueError(f"{what} '{value}' is declared twice{case}")


def _check_notation(column: "Column") -> None:
    if column.type not in NUMERIC:
        for field, default in (("decimal", "."), ("thousands", None), ("currency", None)):
            if getattr(column, field) != default:
                raise _only(column, field, "a number")
    thousands, currency = column.thousands, column.currency
    if thousands is not None and (len(thousands) != 1 or re.match(r"[\w+%-]", thousands)):
        raise ValueError(
            f"thousands: '{thousands}' does not separate digits; give one sign, such as , or . or '"
        )
    if thousands == column.decimal:
        raise ValueError(f"thousands and decimal are both '{thousands}'; declare the other decimal")
    if currency is not None:
        check_currency(currency)


def check_currency(sign: str) -> None:
    """Raise ValueError if a text cannot be the sign of a currency beside a number."""
    if not sign.strip() or sign != sign.strip() or re.search(r"[0-9+-]", sign):
        raise ValueError(
            f"currency: '{sign}' is no sign of a currency; give one such as $ or EUR, without "
            "digits, + and -"
        )


def _check_formats(column: "Column") -> None:
    if column.format is None:
        return
    if column.type not in TIMES:
        raise _only(column, "format", "a date or datetime")
    if not column.formats:
        raise ValueError("format: the list is empty; give a format, or leave the field out")
    for each in column.formats:
        if each not in DAYS:
            check_format(each, has_time=column.type == "datetime")


def check_format(text: str, *, has_time: bool) -> None:
    """Check that a format of strptime gives one day, and a time of day only if that is stored.

    Args:
        text: the format, or the word `unix_seconds`.
        has_time: whether the column stores a time of day.
    """
    if text == SECONDS:
        if not has_time:
            raise ValueError(f"format: {SECONDS} is a time; use type: datetime")
        return
    codes = re.findall("%(.?)", text)
    for code in codes:
        if code == "" or code not in f"{DATE_CODES}{TIME_CODES}%":
            known = ", ".join(f"%{each}" for each in DATE_CODES + TIME_CODES)
            raise ValueError(
                f"format: '{text}': %{code} is not known; use {known}, or one of the words "
                f"{', '.join([*DAYS, SECONDS])}"
            )
        if code != "%" and codes.count(code) > 1:
            raise ValueError(f"format: '{text}' has %{code} twice")
    found = {*codes}
    if len(found & {"Y", "y"}) != 1:
        raise ValueError(f"format: '{text}' needs a year, %Y or %y")
    if len(found & {"m", "b", "B"}) > 1 or ("d" in found and not found & {"m", "b", "B"}):
        raise ValueError(f"format: '{text}' needs one month, %m, %b or %B")
    if not has_time and found & {*TIME_CODES}:
        raise ValueError(f"format: '{text}' has a time of day, which a date loses; use datetime")
    if ("I" in found) != ("p" in found) or len(found & {"H", "I"}) > 1:
        raise ValueError(f"format: '{text}': give the hour by %H, or by %I and %p")


def _check_range(column: "Column") -> None:
    if column.range is None:
        return
    wanted: type = date if column.type in TIMES else float
    if column.type not in (*NUMERIC, *TIMES):
        raise _only(column, "range", "a number or a date")
    for bound in column.range:
        if bound is not None and not isinstance(bound, wanted):
            what = "dates, such as 2000-01-01" if wanted is date else "numbers"
            raise ValueError(f"range: a {column.type} has {what}; found {bound}")
    low, high = column.range
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        shown = [f"{each:g}" if isinstance(each, float) else str(each) for each in (low, high)]
        raise ValueError(f"range is out of order: {shown[0]} is above {shown[1]}")


def _check_presence(column: "Column") -> None:
    if column.optional and (column.since or column.retired):
        raise ValueError("optional: any file may lack the column already; leave out since, retired")
    if column.since and column.retired and column.since >= column.retired:
        raise ValueError(f"retired {column.retired} is not after since {column.since}")


def check_key(column: "Column") -> None:
    """Check that the key has no field that would change it, or let a file lack it."""
    if column.type not in ("integer", "text", "uuid"):
        raise ValueError("type: the key must be integer, text or uuid")
    if column.has_notation:
        raise ValueError("the key is digits only; decimal, thousands and currency change it")
    for field in ("optional", "since", "retired", "stored_only", "direction", "special_codes"):
        if getattr(column, field):
            raise ValueError(f"{field}: every file needs the key, and the key is no feature")


def _check_margin(column: "Column", margin: "Margin") -> None:
    per_level = isinstance(margin.effect, dict)
    if column.type in NUMERIC or column.type in TIMES:
        if margin.shares is not None or per_level:
            raise ValueError(
                "margin: shares and an effect per level are for a category, not a number"
            )
        quantiles = margin.quantiles or []
        if any(isinstance(each, date) != (column.type in TIMES) for each in quantiles):
            raise ValueError(f"margin: quantiles of a {column.type} must be of its type")
        if column.type in TIMES and (margin.effect or margin.step):
            raise ValueError("margin: a date has neither effect nor step")
        return
    if margin.quantiles is not None or (margin.effect and not per_level):
        raise ValueError("margin: quantiles and a single effect are for a number, not a category")
    effects = set(margin.effect) if isinstance(margin.effect, dict) else set()
    own = [texts[0] for texts in column.texts] if column.type == "boolean" else column.listed_levels
    if column.type == "boolean" and not {*(margin.shares or own)} <= {*own}:
        raise ValueError(f"margin: shares of this boolean are of {own[0]} and {own[1]}")
    unknown = sorted(effects - set(margin.shares or own or effects))
    if unknown:
        raise ValueError(f"margin: '{unknown[0]}' has an effect but no share")
