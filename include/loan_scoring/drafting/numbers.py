"""Find out how a column of text writes numbers, and which of them are codes for unknown."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from loan_scoring.drafting.values import Values

SIGNS = "$€£¥₹"
CURRENCY = re.compile(rf"^(?P<before>[{SIGNS}]|[A-Z]{{3}} ?)|(?P<after>[{SIGNS}]| ?[A-Z]{{3}})$")
SIGN = f"^([{SIGNS}]|[A-Z]{{3}} ?)[0-9]|[0-9]([{SIGNS}]| ?[A-Z]{{3}})$| [{SIGNS}]"
STYLES = {
    (".", ","): r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?$",
    (",", "."): r"^[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?$",
    (".", "'"): r"^[+-]?[0-9]{1,3}('[0-9]{3})+(\.[0-9]*)?$",
    (",", " "): r"^[+-]?[0-9]{1,3}( [0-9]{3})+(,[0-9]*)?$",
    (",", None): r"^[+-]?[0-9]*,[0-9]+$",
}
"""Decimal and thousands separators, each with the texts that show them."""
PLAIN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$"
NINES = tuple(float("9" * digits) for digits in range(1, 11))
SENTINELS = {
    *NINES,
    *(-nine for nine in NINES),
    *(float(base - back) for base in (100, 1000, 10_000) for back in (2, 3, 4)),
    -1.0, -8.0, -7.0, 9.999999e6, 99999.99, -9998.0,
}  # fmt: skip
MOST_FITTING = 0.98
"""So large a share of the texts must fit a way to write numbers."""
GAP = 1.5
"""A code for unknown lies so many times beyond the largest number that means something."""


@dataclass(frozen=True)
class Written:
    """How a column writes numbers. `fields` are the fields of the contract that say so."""

    fields: dict[str, str]
    is_percent: bool
    values: Values
    """The values as plain numbers."""


def read_style(values: Values) -> Written | None:
    """Return how texts with signs or separators write numbers, or None if they are no numbers."""
    fields: dict[str, str] = {}
    texts = values.texts
    shown_signs = values.listed(values.match(SIGN))
    sign = None
    if shown_signs and (found := CURRENCY.search(shown_signs[0])):
        sign = (found["before"] or found["after"]).strip()
        texts = pc.utf8_trim_whitespace(pc.replace_substring(texts, sign, ""))
    is_percent = bool(pc.any(pc.ends_with(texts, "%")).as_py())
    if is_percent:
        texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, " ?%$", ""))
    stripped = Values(texts, values.counts, values.codes)
    is_plain = bool(stripped.match(PLAIN).all())
    for (decimal, thousands), pattern in STYLES.items():
        if is_plain or not stripped.match(pattern).any():
            continue
        groups = f"[0-9]{{1,3}}({re.escape(thousands)}[0-9]{{3}})+|" if thousands else ""
        either = f"^[+-]?({groups}[0-9]*)({re.escape(decimal)}[0-9]*)?$"
        if stripped.match(either).mean() >= MOST_FITTING:
            fields = {} if decimal == "." else {"decimal": decimal}
            if thousands:
                fields["thousands"] = thousands
                texts = pc.replace_substring(texts, thousands, "")
            texts = pc.replace_substring(texts, decimal, ".")
            break
    numbers = Values(texts, values.counts, values.codes)
    if numbers.match(PLAIN).mean() < MOST_FITTING or not (fields or sign or is_percent):
        return None
    if sign:
        fields["currency"] = sign
    return Written(fields, is_percent, numbers)


def find_sentinels(numbers: np.ndarray, counts: np.ndarray, is_code: bool) -> list[float]:
    """Return numbers such as 999 or -1 that stand apart from all others.

    Args:
        numbers: distinct numbers of a column.
        counts: number of rows of each.
        is_code: whether the header sounds like a code, so that even one digit may mean unknown.
    """
    order = np.argsort(numbers)
    low_to_high = numbers[order].tolist()
    weight = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    found: list[float] = []
    while len(low_to_high) > 2:
        last = low_to_high[-1]
        rest = [each for each in low_to_high[:-1] if each not in SENTINELS or each < last / 2]
        top = rest[-1] if rest else last
        is_apart = last in SENTINELS and last > GAP * max(top, 1) and last - top > 3
        if not is_apart or (last < 10 and not (is_code and weight[last] > 1)):
            break
        found += [each for each in low_to_high if each > top]
        low_to_high = [each for each in low_to_high if each <= top]
    if len(low_to_high) > 2 and low_to_high[0] in SENTINELS and low_to_high[0] < 0:
        rest = [each for each in low_to_high if each not in SENTINELS or each >= 0]
        if rest and rest[0] >= 0:
            found += [each for each in low_to_high if each < 0]
    return sorted(found)
