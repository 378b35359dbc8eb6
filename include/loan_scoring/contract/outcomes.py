"""Define the parts of a contract that describe outcomes: the target, and files of outcomes."""

import hashlib
import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loan_scoring.contract.columns import first_repeated
from loan_scoring.contract.parts import ContractPart, left_out_if

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract


class Target(ContractPart):
    """The column of a labelled file that says whether a loan defaulted.

    `positive` lists the values that mean default, `negative` the values that mean repaid, and
    `open` the values that are no outcome yet. Values that are numbers are compared as numbers.
    """

    source: str = Field(min_length=1)
    label: str = "Loan defaulted"
    positive: list[str] = Field(min_length=1)
    negative: list[str] = Field(min_length=1)
    open: list[str] = left_out_if([])

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        kinds = {"positive": self.positive, "negative": self.negative, "open": self.open}
        meanings: dict[str, tuple[str, str]] = {}
        for kind, values in kinds.items():
            for value in values:
                before, text = meanings.setdefault(same_text(value), (kind, value))
                if before != kind and text == value:
                    raise ValueError(f"value '{value}' is in both {before} and {kind}")
                if before != kind:
                    raise ValueError(
                        f"value '{text}' of {before} and value '{value}' of {kind} are the same "
                        "number"
                    )
        return self


class DateSource(ContractPart):
    """The column with the date of an outcome, and how the date is written.

    `format` is a format of strptime, or a list of formats that are tried in order.
    """

    source: str = Field(min_length=1)
    format: str | list[str] | None = Field(default=None, min_length=1)

    @property
    def formats(self) -> list[str]:
        """The declared formats. Without any, dates are written as ISO 8601."""
        return [self.format] if isinstance(self.format, str) else self.format or []

    @property
    def is_of_a_month(self) -> bool:
        """Whether a date may name only a month, so that its day is unknown."""
        days = ("%d", "%j", "%x", "%c", "%D", "%F", "%e")
        return any("%" in each and not any(day in each for day in days) for each in self.formats)


class AmountSource(ContractPart):
    """The column with an amount of money, and how its numbers are written."""

    source: str = Field(min_length=1)
    decimal: str = Field(default=".", pattern="^[.,]$")
    thousands: str | None = Field(default=None, pattern="^[., '_\u00a0\u202f\u2019]$")

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both '{self.decimal}'")
        return self


class OutcomesFormat(ContractPart):
    """How files of outcomes look, where they differ from files of applications.

    A field that is None is as in files of applications. `observed_on` is the date of an outcome,
    and `recovered` the amount that was recovered of a defaulted loan.
    """

    key: str | None = None
    target: str | None = None
    observed_on: DateSource | None = None
    recovered: AmountSource | None = None
    encoding: Literal["utf-8", "latin-1"] | None = None

    @field_validator("key", "target")
    @classmethod
    def _is_named(cls, value: str | None) -> str | None:
        if value == "":
            raise ValueError("the text is empty; leave the field out, or give a name")
        return value

    @model_validator(mode="after")
    def _sources_differ(self) -> Self:
        parts = (self.observed_on, self.recovered)
        sources = [self.key, self.target, *(part.source for part in parts if part)]
        repeated = first_repeated([source for source in sources if source])
        if repeated is not None:
            raise ValueError(f"two fields are read from the column '{repeated}'")
        return self


def same_text(text: str) -> str:
    """Return one text for all texts that mean the same value: '1', '1.0' and ' 1 ' are '1'.

    >>> [same_text(text) for text in ("1.0", " 01", "1e0", "-0", "paid ", "", "1_0")]
    ['1', '1', '1', '0', 'paid', '', '1_0']
    """
    text = text.strip()
    try:
        number = Decimal(text) if text.isascii() and "_" not in text else None
    except InvalidOperation:
        return text
    if number is None or not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        return text
    return f"{number + 0:f}".rstrip("0").rstrip(".") if number % 1 else f"{int(number)}"


MOST_DIGITS = 20
"""Numbers with more digits than this are compared as texts."""


def target_sha256(contract: "Contract") -> str:
    """Return the SHA-256 of a contract's target: its column, and its texts for each state."""
    target = contract.target
    parts: list[Any] = [target.source, sorted(target.positive), sorted(target.negative)]
    parts += [sorted(target.open)] if target.open else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def outcome_rules_sha256(contract: "Contract") -> str:
    """Return the SHA-256 of all fields of a contract that affect how a file of outcomes is parsed.

    If two contracts have equal hashes, a file gives equal outcomes under both contracts.
    """
    key = contract.key.model_dump(include={"source", "type", "range", "null_tokens"})
    parts: list[Any] = [contract.source.encoding, key, target_sha256(contract)]
    declared = contract.outcomes.model_dump(exclude_defaults=True)
    parts += [declared, contract.schedules.timezone] if declared else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
