"""Read text as numbers. The verdict on a value never depends on the other values of its block.

A block whose values are all plain is converted at once. Otherwise the odd values are read one by
one. Both ways give the same number, or the same verdict, for the same text.
"""

import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Column
from loan_scoring.database.types import ARROW_TYPES
from loan_scoring.ingest.parsing.numerals import plain_numerals, plain_tokens

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
EXPONENT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+$"
SPREADSHEET_EXPONENT = r"^[0-9]([.,][0-9]+)?[eE]\+[0-9]{2,3}$"
"""A number as spreadsheet programs shorten it, such as 8.12E+11.

A key that is text may contain an E, such as 12E5. Therefore only this form counts as an exponent.
"""
WHOLE = r"^\+?(-?)0*([0-9]+)(?:\.0*)?$"
"""A whole number without exponent. Groups: the sign -, and the digits without leading zeros."""
DIGITS = "^-?[0-9]{1,18}$"
"""A whole number that certainly has at most 64 bits."""
LOWEST, HIGHEST = -(2**63), 2**63 - 1


def parse_numbers(
    column: Column, text: pa.Array, *, is_plain: bool = False
) -> tuple[pa.Array, np.ndarray]:
    """Return text as numbers, and a mask of the values that are not a number of the column's type.

    A value that is not such a number becomes null, as empty text and null tokens do. Infinity and
    nan are not numbers. An integer is exact from -2^63 to 2^63 - 1.

    Args:
        column: numeric column of the contract.
        text: texts to read.
        is_plain: whether the texts are plain numbers, whatever notation the column declares.
    """
    if is_plain or not column.has_notation:
        return _parse_plain(column, text, column.null_tokens)
    text = without_nulls(pc.utf8_trim_whitespace(text), column)
    plain = plain_numerals(column, text)
    is_other = as_mask(text.is_valid()) & as_mask(plain.is_null())
    values, unreadable = _parse_plain(column, plain, plain_tokens(column))
    return values, unreadable | is_other


def _parse_plain(
    column: Column, text: pa.Array, null_tokens: Sequence[str]
) -> tuple[pa.Array, np.ndarray]:
    kind, tokens = ARROW_TYPES[column.type], _token_numbers(null_tokens)
    is_whole = column.type == "integer"
    try:
        if is_whole and _may_contain(text, b"x"):
            raise pa.ArrowInvalid("the cast reads 0x10 as 16")
        values = _without(text, null_tokens).cast(kind)
        unreadable = np.zeros(len(text), dtype=bool)
    except pa.ArrowInvalid:
        text = _without(pc.utf8_trim_whitespace(text), null_tokens)
        values, unreadable = _integers(text, tokens) if is_whole else _floats(text)
    if not is_whole:  # because the cast also accepts 'nan' and 'inf'
        endless = as_mask(values.is_valid()) & ~np.isfinite(as_floats(values))
        if endless.any():
            values, unreadable = _nulled(values, pa.array(endless)), unreadable | endless
    if tokens:
        exact = [_exact(token, column.type) for token in tokens]
        values = _nulled(values, pc.is_in(values, value_set=pa.array(exact, kind).drop_null()))
    return values, unreadable


def has_exponent(column: Column, keys: pa.Array) -> np.ndarray | None:
    """Return a mask of the keys that are written with an exponent. Return None if there are none.

    A spreadsheet program writes 812345678900 as 8.12346E+11, which is the key of another loan.
    """
    if not _may_contain(keys, b"e" if column.is_numeric else b"e+"):
        return None
    pattern = EXPONENT if column.is_numeric else SPREADSHEET_EXPONENT
    found = pc.match_substring_regex(pc.utf8_trim_whitespace(keys), pattern)
    written = as_mask(found.fill_null(False))
    return written if written.any() else None


def without_nulls(text: pa.Array, column: Column) -> pa.Array:
    """Return text in which empty text and the contract's null tokens are replaced by null."""
    return _without(text, column.null_tokens)


def _without(text: pa.Array, null_tokens: Sequence[str]) -> pa.Array:
    is_null = pc.equal(text, "")
    for token in null_tokens:
        is_null = pc.or_(is_null, pc.equal(text, token.strip()))
    return _nulled(text, is_null)


def as_floats(values: pa.Array) -> np.ndarray:
    """Return numbers as float64. Null becomes nan. An integer beyond 2^53 is rounded."""
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def as_mask(values: pa.Array) -> np.ndarray:
    """Return an Arrow array of booleans without nulls as a NumPy array."""
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)


def _floats(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return trimmed text as float64, and a mask of the texts that are not a number."""
    is_number = pc.match_substring_regex(text, NUMBER).fill_null(True)
    return _nulled(text, pc.invert(is_number)).cast(pa.float64()), ~as_mask(is_number)


def _integers(text: pa.Array, tokens: set[Decimal]) -> tuple[pa.Array, np.ndarray]:
    """Return trimmed text as int64, and a mask of the texts that are not an integer.

    Of the texts that are not plain digits, each distinct text is read once.
    """
    is_odd = pc.invert(pc.match_substring_regex(text, DIGITS).fill_null(True))
    odd = text.filter(is_odd).dictionary_encode()
    read, wrong = _odd_integers(odd.dictionary, tokens)
    plain = _nulled(text, is_odd).cast(pa.int64())
    unreadable = as_mask(is_odd)
    unreadable[unreadable] = wrong[odd.indices.to_numpy()]
    return pc.replace_with_mask(plain, is_odd, read.take(odd.indices)), unreadable


def _odd_integers(texts: pa.Array, tokens: set[Decimal]) -> tuple[pa.Array, np.ndarray]:
    digits = pc.replace_substring_regex(texts, WHOLE, r"\1\2")
    is_long = pc.and_(
        pc.match_substring_regex(digits, "^-?[0-9]{19}$"),
        pc.less_equal(pc.utf8_ltrim(digits, "-"), str(HIGHEST)),
    )
    is_odd = pc.invert(pc.or_(pc.match_substring_regex(digits, DIGITS), is_long))
    numbers = [_decimal(each) for each in texts.filter(is_odd).to_pylist()]
    exact = [_exact(number, "integer") for number in numbers]
    wrong = as_mask(is_odd)
    wrong[wrong] = [e is None and n not in tokens for e, n in zip(exact, numbers, strict=True)]
    whole = _nulled(digits, is_odd).cast(pa.int64())
    return pc.replace_with_mask(whole, is_odd, pa.array(exact, pa.int64())), wrong


def _token_numbers(null_tokens: Sequence[str]) -> set[Decimal]:
    """Return the null tokens that are numbers, because -999.0 means the token -999 too."""
    return {number for token in null_tokens if (number := _decimal(token.strip())) is not None}


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if re.fullmatch(NUMBER, text) else None
    except InvalidOperation:  # the exponent has more than 18 digits
        return None


def _exact(number: Decimal | None, type_: str) -> int | float | None:
    """Return a number as a value of a column's type. Return None if the type has no such value.

    >>> [_exact(Decimal(text), "integer") for text in ("1.5e1", "-9223372036854775808", "0.5")]
    [15, -9223372036854775808, None]
    """
    if number is None:
        return None
    if type_ != "integer":
        return value if math.isfinite(value := float(number)) else None
    is_whole = LOWEST <= number <= HIGHEST and number == number.to_integral_value()
    return int(number) if is_whole else None


def _nulled(values: pa.Array, is_null: pa.Array) -> pa.Array:
    return pc.if_else(is_null, pa.scalar(None, values.type), values)


def _may_contain(text: pa.Array, part: bytes) -> bool:
    """Return whether any text may contain a part, in lower or upper case.

    The whole buffer is searched, even if `text` is only a slice of the buffer. So the result may be
    True because of text outside the slice. Then the caller takes its slower way, which gives the
    same result.
    """
    data = text.buffers()[2]
    return data is not None and part in data.to_pybytes().lower()
