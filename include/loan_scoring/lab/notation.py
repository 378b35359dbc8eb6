"""Read and write numbers in the notation of a contract, for generated and drifted loans."""

from decimal import Decimal, InvalidOperation

import pyarrow as pa

from loan_scoring.contract import Column
from loan_scoring.ingest.parsing.numerals import plain_numerals


def as_plain(column: Column, text: str) -> str:
    """Return a number of a file with a decimal point, or the text itself if it is no number.

    >>> as_plain(Column(source="s", name="s", label="s", type="money", known="application",
    ...                 decimal=",", thousands="."), "7.151,03")
    '7151.03'
    """
    text = text.strip()
    if not column.has_notation:
        return text
    return plain_numerals(column, pa.array([text])).to_pylist()[0] or text


def as_written(column: Column, plain: str) -> str:
    """Return a plain number as the files of the portfolio write it.

    >>> as_written(Column(source="s", name="s", label="s", type="money", known="application",
    ...                   thousands=",", currency="$"), "-7151.03")
    '-$7,151.03'
    """
    if not column.has_notation:
        return plain
    sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    whole, point, part = digits.partition(".")
    if column.thousands:
        whole = f"{int(whole):,}".replace(",", column.thousands)
    end = "%" if column.type == "percent" else ""
    return f"{sign}{column.currency or ''}{whole}{point and column.decimal}{part}{end}"


def decimal_of(column: Column, text: str) -> Decimal | None:
    """Return a number of a file, or None if the text is no finite number."""
    try:
        value = Decimal(as_plain(column, text))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
