"""Append check digits to a value, and check them: ISO 7064 MOD 97-10, as in an IBAN."""

SEPARATOR = "-"


def check_digits(value: str) -> str:
    """Return the two check digits of a value. Letters count as in an IBAN, other signs as 36.

    >>> check_digits("346500"), check_digits("p1")
    ('50', '24')
    """
    return f"{98 - _number(value) * 100 % 97:02d}"


def _number(value: str) -> int:
    codes = (
        int(sign, 36) if sign.isascii() and sign.isalnum() else 36 for sign in value.casefold()
    )
    return int("".join(map(str, codes)) or "0")


def with_check_digits(value: str) -> str:
    """Return a value with its check digits."""
    return f"{value}{SEPARATOR}{check_digits(value)}"


def without_check_digits(text: str) -> tuple[str, bool]:
    """Return the value of a text that ends with check digits, and whether they fit the value.

    >>> without_check_digits("346500-50"), without_check_digits("346600-50")
    (('346500', True), ('346600', False))
    """
    value, _, digits = text.rpartition(SEPARATOR)
    return value, value != "" and digits == check_digits(value)
