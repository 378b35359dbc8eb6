"""Render the templates of pages, and format numbers and times in the same way on all pages."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

import plotly
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loan_scoring_web.pages.words import doer, severity, test_name

NONE = "\N{EN DASH}"
"""String that pages show for a missing value."""


def render_template(name: str, **values: Any) -> str:
    """Render a template of the folder templates/ with the given values, and return the HTML."""
    return template_environment().get_template(name).render(**values)


@cache
def template_environment() -> Environment:
    """Return the Jinja environment of all pages. The first call creates the environment."""
    environment = Environment(
        loader=PackageLoader("loan_scoring_web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plotly_js"] = f"plotly-{plotly.__version__}.min.js"
    environment.filters |= {
        "count": count,
        "percent": percent,
        "points": points,
        "number": number,
        "moment": moment,
        "day": day,
        "duration": duration,
        "short": short,
        "fixed": fixed,
        "embed": embed,
        "shown_value": shown_value,
        "address": address,
        "severity": severity,
        "test_name": test_name,
        "doer": doer,
    }
    return environment


def count(value: float | None) -> str:
    """Format a count as a whole number with thousands separators.

    >>> count(148670)
    '148,670'
    """
    return NONE if value is None else f"{value:,.0f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share between 0 and 1 as a percentage.

    >>> percent(0.0473)
    '4.7 %'
    """
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None) -> str:
    """Format a difference of two shares in percentage points, with its sign.

    >>> points(-0.0312)
    '-3.1'
    """
    return NONE if difference is None else f"{100 * difference:+.1f}"


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with at least `digits` significant digits. Tiny numbers get an exponent.

    >>> [number(each) for each in (0.79012, 1234.5, 0.0000412, 0)]
    ['0.790', '1,234', '4.12e-05', '0']
    """
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def fixed(value: float | None) -> str:
    """Format a number with three decimal places. A value that rounds to zero has no minus sign.

    >>> fixed(0.15234), fixed(-0.0001)
    ('0.152', '0.000')
    """
    return NONE if value is None else f"{round(value, 3) + 0.0:.3f}"


def short(value: float | None) -> str:
    """Format an amount with three significant digits and a unit: k, M or bn.

    >>> [short(each) for each in (9_876_543.0, 872_700.0, 7.0)]
    ['9.88 M', '873 k', '7.00']
    """
    if value is None:
        return NONE
    for limit, unit in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:#.3g}".rstrip(".") + unit
    return f"{value:#.3g}"


def moment(at: datetime | None) -> str:
    """Format a time as YYYY-MM-DD HH:MM in UTC."""
    return NONE if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def day(on: date | None) -> str:
    """Format a date as YYYY-MM-DD."""
    return NONE if on is None else f"{on:%Y-%m-%d}"


def duration(seconds: float | None) -> str:
    """Format a duration in ms, s, min or h. A longer duration gets a larger unit.

    >>> [duration(each) for each in (0.0314, 8.04, 312, 5400)]
    ['31 ms', '8.0 s', '5.2 min', '1.5 h']
    """
    if seconds is None:
        return NONE
    steps = ((1, "ms", 0.001, 0), (90, "s", 1, 1), (5400, "min", 60, 1))
    for limit, unit, divisor, digits in steps:
        if seconds < limit:
            return f"{seconds / divisor:.{digits}f} {unit}"
    return f"{seconds / 3600:.1f} h"


def address(given: Mapping[str, Any], **more: Any) -> str:
    """Return the parameters of an address. A parameter without a value is left out.

    >>> address({"since": "2026-01-05", "until": None}, sort="loss")
    'since=2026-01-05&sort=loss'
    """
    return urlencode({k: v for k, v in {**given, **more}.items() if v not in (None, "")})


def embed(value: Any) -> Markup:
    """Return a value as JSON to embed in an HTML script element.

    The characters <, > and & are escaped, because otherwise a string in the value could close the
    script element.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, code)
    return Markup(text)  # noqa: S704 - <, > and & are escaped above


def shown_value(value: object) -> str:
    """Format the value of an application's input for a person.

    >>> [shown_value(each) for each in (None, "cf", True, 2019, 296500, 98.728813)]
    ['missing', 'cf', 'yes', '2019', '296,500', '98.73']
    """
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return str(value)
