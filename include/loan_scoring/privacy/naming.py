"""Say how texts name a loan, and by which pseudonym its decisions are kept after an erasure."""

import re
import secrets
import uuid
from typing import Any

from loan_scoring.contract import Contract

MOST_BITS = 62
"""Bits of the random number of a pseudonym, so that it fits into a bigint."""
LEAST_DISTINCT = 6
"""A key of at least this many characters, with a letter, is found in a text by itself."""


def new_pseudonym(contract: Contract) -> str:
    """Return a random key of the contract's type that no loan has.

    A pseudonym is not made from the key, because keys can be guessed one after the other.
    """
    if contract.key.type == "uuid":
        return str(uuid.uuid4())
    if contract.key.is_numeric:
        return str(-1 - secrets.randbits(MOST_BITS))
    return f"erased-{secrets.token_hex(16)}"


def naming_pattern(key: Any) -> str:
    r"""Return the regular expression, for Postgres and for Python, of a text that names a loan.

    Its first group is what stands before the key. A key that may as well be a count or a word is
    found only after the word `loan`.

    >>> re.sub(naming_pattern(24890), r"\1X", '{"loan_id": 24890, "rows": 24890} of loan 24890')
    '{"loan_id": X, "rows": 24890} of loan X'
    """
    text = str(key)
    escaped = re.sub(r"([^0-9A-Za-z_])", r"\\\1", text)
    is_distinct = len(text) >= LEAST_DISTINCT and re.search(r"[0-9]", text) and not text.isdecimal()
    before = r"^|[^0-9A-Za-z]" if is_distinct else r'loans?(?:_id)?"?[ :=#"]{1,4}'
    return rf"({before}){escaped}(?![0-9A-Za-z])"


def without_loan(text: str, key: Any, pseudonym: str) -> str:
    """Return a text in which a loan has its pseudonym."""
    return re.sub(naming_pattern(key), rf"\g<1>{pseudonym}", text, flags=re.IGNORECASE)
