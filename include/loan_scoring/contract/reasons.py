"""Define the codes and the words of reasons, and the letter that states them to an applicant."""

import re
from string import Template
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from loan_scoring.contract.parts import ContractPart, first_repeated

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract

CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,19}")
LETTER = """\
$date

Your application $loan_id

We have decided on your application, and we cannot offer you this loan. The principal reasons are:

$reasons

The decision was made automatically by the rules of $title, from these data: $sources.

You have the right to have a person review the decision, to state your view, and to contest the
decision. You may ask which data we hold about you, and have wrong data corrected. Write to
$contact.
"""
PLACEHOLDERS = frozenset({"date", "loan_id", "reasons", "title", "sources", "contact"})


class Reason(ContractPart):
    """A reason for which an application may be declined, in the words that an applicant reads."""

    code: str
    """Its code: capital letters, digits, `_` and `-`, at most 20. It stands before the wording."""
    columns: list[str] = Field(min_length=1)
    """The features for which it stands. Several features are one reason: their contributions are
    added. A protected column is no feature, and has no reason.
    """
    wording: Annotated[str, Field(min_length=1)]
    """What an applicant reads, such as `Income too low for the amount requested`."""
    says: Literal["too_low", "too_high"] | None = None
    """What the wording says of numbers, so that it can be tested: `too_low` promises that a higher
    value lowers the probability. Without it the `direction` of the columns counts, if they have
    one.
    """
    missing: str | None = None
    """The wording if the value is null. Without it: the label of the column and `is missing`."""

    @field_validator("code")
    @classmethod
    def _is_code(cls, code: str) -> str:
        if not CODE.fullmatch(code):
            raise ValueError(
                f"'{code}' is not a valid code: use at most 20 capital letters, digits, _ and -"
            )
        return code


class Letter(ContractPart):
    """The letter to a declined applicant, in the lender's language."""

    template: str | None = None
    """The text, with `$date`, `$loan_id`, `$reasons`, `$title`, `$sources` and `$contact`;
    `$reasons` is needed. Without it: a text in English.
    """
    sources: str = "your application"
    """Where the data come from: name the credit bureau whose data a feature holds."""
    contact: str | None = None
    """Whom the applicant asks for a review by a person. Without it: `owner`."""
    date_format: str = "%Y-%m-%d"
    """How `$date`, the day of the decision, is written, in formats of strftime."""

    @field_validator("template")
    @classmethod
    def _has_placeholders(cls, text: str | None) -> str | None:
        if text is None:
            return None
        template = Template(text)
        if not template.is_valid():
            raise ValueError("a $ stands alone in the text; write $$ for a dollar sign")
        unknown = sorted(set(template.get_identifiers()) - PLACEHOLDERS)
        if unknown:
            raise ValueError(
                f"there is no ${unknown[0]}; use {', '.join(f'${n}' for n in sorted(PLACEHOLDERS))}"
            )
        if "reasons" not in template.get_identifiers():
            raise ValueError("$reasons is missing: a letter must state the reasons")
        return text


def check_reasons(contract: "Contract") -> None:
    """Check that reasons stand for features, each feature for one reason, under distinct words.

    Raises:
        ValueError: a reason does not fit. The message names the field.
    """
    names = {column.name: column for column in contract.features}
    for place, reason in enumerate(contract.reasons):
        for name in reason.columns:
            if name in (*contract.protected_names, *contract.derived.protected):
                raise ValueError(
                    f"reasons.{place}.columns: {name} is protected; nobody is declined for it"
                )
            if name not in names:
                raise ValueError(f"reasons.{place}.columns: {name} is not a feature")
            if reason.says and not names[name].is_numeric:
                raise ValueError(f"reasons.{place}.says: {name} is not a number")
    for field, values in (
        ("columns", [name for reason in contract.reasons for name in reason.columns]),
        ("code", [reason.code for reason in contract.reasons]),
    ):
        twice = first_repeated(values)
        if twice is not None:
            raise ValueError(f"reasons: {field} '{twice}' is declared twice")
