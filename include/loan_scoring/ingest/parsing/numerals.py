"""Turn numbers in a declared notation into plain numbers: digits with a decimal point.

A notation has a decimal sign, and may have a sign between thousands, a currency, or %.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Column

SPACES = " \u00a0\u202f"
"""Characters that may stand between a number and its currency or %, and for thousands = space."""


def plain_numerals(column: Column, text: pa.Array) -> pa.Array:
    """Return numbers in a column's notation as plain numbers. Any other text becomes null.

    Groups of thousands have three digits. The groups before the last may have two, as in India.
    So 7.15 is no number where `thousands` is a point.

    Args:
        column: column with a notation.
        text: trimmed texts.
    """
    is_numeral = pc.match_substring_regex(text, _pattern(column))
    text = pc.if_else(is_numeral, text, pa.scalar(None, pa.string()))
    if column.currency:
        text = pc.replace_substring(text, column.currency, "")
    if column.type == "percent":
        text = pc.utf8_rtrim(text, f"{SPACES}%")
    if column.currency or (column.thousands and column.thousands in SPACES):
        for space in SPACES:
            text = pc.replace_substring(text, space, "")
    if column.thousands:
        text = pc.replace_substring(text, column.thousands, "")
    return text if column.decimal == "." else pc.replace_substring(text, column.decimal, ".")


def plain_tokens(column: Column) -> list[str]:
    """Return the null tokens that are numbers in a column's notation, as plain numbers."""
    tokens = pa.array([token.strip() for token in column.null_tokens], pa.string())
    return [token for token in plain_numerals(column, tokens).to_pylist() if token is not None]


def _pattern(column: Column) -> str:
    whole = "[0-9]+"
    if column.thousands:
        is_space = column.thousands in SPACES
        between = f"[{SPACES}]" if is_space else re.escape(column.thousands)
        whole = f"(?:[0-9]{{1,3}}(?:{between}[0-9]{{2,3}})*{between}[0-9]{{3}}|[0-9]+)"
    point = re.escape(column.decimal)
    number = f"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    sign, space = "[+-]?", f"[{SPACES}]?"
    if column.type == "percent":
        number += f"(?:{space}%)?"
    if not column.currency:
        return f"^{sign}{number}$"
    currency = re.escape(column.currency)
    return (
        f"^(?:{sign}{currency}{space}{number}|{currency}{space}{sign}{number}"
        f"|{sign}{number}(?:{space}{currency})?)$"
    )
