"""Convert a loan_id that a person or a program gave to the type of the contract's key."""

from typing import Any
from uuid import UUID

from loan_scoring.contract import Contract
from loan_scoring.errors import MissingError

MOST_INTEGER = 2**63 - 1


def typed_loan_id(contract: Contract, loan_id: Any) -> Any:
    """Convert a loan_id to the type of the contract's key, an integer or a string.

    A UUID is written in lower case, as Postgres returns it.

    Raises:
        MissingError: no loan of the portfolio can have this loan_id.
    """
    text = str(loan_id)
    if not contract.key.is_numeric:
        if "\x00" in text or not text.isprintable():
            raise MissingError(f"no loan of {contract.portfolio} has this loan_id")
        if contract.key.type == "uuid":
            try:
                return str(UUID(text))
            except ValueError as error:
                raise MissingError(
                    f"'{text[:40]}' is not a loan_id of {contract.portfolio}"
                ) from error
        return text
    # Check the length before int(), because int() raises ValueError for thousands of digits.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_INTEGER))
    if not is_number or int(text) > MOST_INTEGER:
        raise MissingError(f"'{text[:40]}' is not a loan_id of {contract.portfolio}")
    return int(text)
