"""Define the parts of a contract that describe outcomes: the target, and files of outcomes."""

import hashlib
import json
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError, model_validator

from loan_scoring.contract.column_rules import check_currency
from loan_scoring.contract.file_formats import (
    FORMAT_FIELDS,
    AnySource,
    Delimiter,
    FileFormat,
    SourceName,
    is_position,
)
from loan_scoring.contract.parts import ContractPart, first_repeated, later

if TYPE_CHECKING:
    from loan_scoring.contract.contract import Contract


class Target(ContractPart):
    """The column of a labelled file that says whether a loan defaulted.

    `positive` lists the values that mean default, `negative` the values that mean repaid, and
    `open` the values that are no outcome yet. Values that are numbers are compared as numbers.
    """

    source: SourceName
    """The column of a labelled file that holds the outcome."""
    label: str = "Loan defaulted"
    """What a default is, in words."""
    positive: list[str] = Field(min_length=1)
    """Its texts for default. After a change, ingest `history` and the files of outcomes again: the
    same bytes are then read anew.
    """
    negative: list[str] = Field(min_length=1)
    """Its texts for paid."""
    open: list[str] = later([])
    """Texts of states that are no outcome yet: neither taken nor refused, and counted."""

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


ALL_LOANS, APPROVED_LOANS = "all", "approved"
"""Words of `known_for` that name no column."""


class DateSource(ContractPart):
    """The column with the date of an outcome, and how the date is written.

    `format` is a format of strptime, or a list of formats that are tried in order.
    """

    source: SourceName
    """The column of a file of outcomes that holds the date."""
    format: str | list[str] | None = Field(default=None, min_length=1)
    """One or several formats of strptime; ISO 8601 without it."""

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

    source: SourceName
    """The column of a file of outcomes that holds the amount."""
    decimal: str = Field(default=".", pattern="^[.,]$")
    """The decimal separator."""
    thousands: str | None = Field(default=None, pattern="^[., '_\u00a0\u202f\u2019]$")
    """The thousands separator."""
    currency: str | None = later(None)
    """The currency sign that stands beside the numbers."""

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.currency is not None:
            check_currency(self.currency)
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both '{self.decimal}'")
        return self


class OutcomesFormat(ContractPart):
    """How files of outcomes look, where they differ from files of applications.

    A field that is None is as in files of applications. `observed_on` is the date of an outcome,
    and `recovered` the amount that was recovered of a defaulted loan.
    """

    key: AnySource = None
    """The key's column, if it differs from the applications'. A key may be a list of columns."""
    target: SourceName | None = None
    """The target's column, if it differs from `target.source`. Its texts are those of `target`."""
    observed_on: DateSource | None = None
    """The date of the outcome: `source`, and `format`, one or a list of formats of strptime, tried
    in order (ISO 8601 without it). If the contract declares it, files must have the column, and
    a blank means that no date is known. If not, files may have a column `observed_on`, and a
    blank is refused. A format without a day names a month: the outcome may be from any day of
    it.
    """
    recovered: AmountSource | None = None
    """The amount recovered of a defaulted loan, in the unit of `business.amount`: `source`,
    `decimal` (`.`), `thousands` and `currency` (none). A blank is not known.
    """
    encoding: str | None = None
    """As under `source`, if it differs."""
    delimiter: Delimiter | None = None
    """As under `source`, if it differs."""
    header: bool | None = None
    """As under `source`, if it differs."""
    ignore_case: bool | None = None
    """As under `source`, if it differs."""
    sheet: str | None = None
    """As under `source`, if it differs."""
    known_for: str = later(ALL_LOANS)
    """Which loans can have an outcome: `all`; `approved`, those whose decision in effect is to
    approve; or the name of a boolean column, those where it is true. Performance is measured on
    these loans.
    """
    window_days: int | None = later(None)
    """Days after which the outcome of a loan is final. Before, defaults are known but most paid
    loans are not, so performance and training leave the loan out. Without it every known outcome
    counts.
    """
    counted_from: str | None = later(None)
    """The date column from which `window_days` count; without it they count from the date of the
    batch, and loans of batch `history` are old enough.
    """
    as_of: date | None = later(None)
    """Until when outcomes are known, if the files of outcomes do not go on; without it, the day on
    which outcomes were last taken in.
    """

    def files(self, applications: FileFormat) -> FileFormat:
        """Return how files of outcomes are written, given how files of applications are."""
        given = self.model_dump(include=FORMAT_FIELDS, exclude_none=True)
        return FileFormat(**applications.model_dump(include=FORMAT_FIELDS) | given)

    @model_validator(mode="after")
    def _window_is_whole(self) -> Self:
        if self.window_days is None:
            lacking = "counted_from" if self.counted_from else "as_of" if self.as_of else None
            if lacking:
                raise ValueError(f"{lacking} needs window_days")
        elif self.window_days < 1:
            raise ValueError(f"window_days is {self.window_days}; it must be at least 1")
        return self

    @model_validator(mode="after")
    def _sources_differ(self) -> Self:
        parts = (self.observed_on, self.recovered)
        keys = self.key if isinstance(self.key, list) else [self.key]
        sources = [*keys, self.target, *(part.source for part in parts if part)]
        repeated = first_repeated([source for source in sources if source])
        if repeated is not None:
            raise ValueError(f"two fields are read from the column '{repeated}'")
        return self


def check_outcomes(contract: "Contract") -> None:
    """Check that `outcomes` fits the rest of the contract.

    Raises:
        ValueError: it does not. The message names the field.
    """
    declared = contract.outcomes
    if declared.recovered is not None and contract.business is None:
        raise ValueError("outcomes.recovered: declare business too, which names the amount")
    _check_column(contract, "known_for", declared.known_for, "boolean", (ALL_LOANS, APPROVED_LOANS))
    _check_column(contract, "counted_from", declared.counted_from, "date", (None,))
    if isinstance(declared.key, list) and contract.key.type != "text":
        raise ValueError("outcomes.key: it is a list, so the type of the key must be text")
    try:
        files = declared.files(contract.source)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"outcomes{f'.{place}' if place else ''}: {reason}") from None
    if files.header:
        return
    keys = declared.key or contract.key.source or []
    facts = (declared.observed_on, declared.recovered)
    sources = [
        *(keys if isinstance(keys, list) else [keys]),
        declared.target or contract.target.source,
        *(fact.source for fact in facts if fact),
    ]
    for source in sources:
        if not is_position(source):
            raise ValueError(
                f"outcomes: '{source}' is a name, but files of outcomes have no header; give the "
                "position of the column, from 1"
            )


def _check_column(
    contract: "Contract", field: str, name: str | None, kind: str, words: tuple[str | None, ...]
) -> None:
    """Check that a field names a column of the files with a given type, or is one of its words."""
    if name in words:
        return
    column = next((each for each in contract.columns if each.name == name), None)
    if column is None:
        known = ", ".join(each.name for each in contract.columns if each.type == kind)
        others = " or ".join(word for word in words if word)
        instead = f"{others}, or " if others else ""
        raise ValueError(
            f"outcomes.{field}: there is no column {name}; give {instead}a {kind} column"
            f"{f': {known}' if known else ', which this contract lacks'}"
        )
    if column.type != kind:
        raise ValueError(
            f"outcomes.{field}: {name} has type {column.type}; it must have type {kind}"
        )


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
    key = contract.key.model_dump(include={"source", "made_from", "type", "range", "null_tokens"})
    parts: list[Any] = [contract.source.encoding, key, target_sha256(contract)]
    further = contract.source.model_dump(include=FORMAT_FIELDS - {"encoding"})
    parts += [further] if further else []
    declared = contract.outcomes.model_dump(exclude_defaults=True)
    parts += [declared] if declared else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
