"""Convert applications from JSON to typed columns, and report validation errors by field.

Errors in the shape of the applications, such as unknown fields, are reported first. Broken rules of
the contract are reported only if there are no such errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from loan_scoring.contract import KEY, Column, Contract
from loan_scoring.errors import Fault, InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from loan_scoring.ingest.files.blocks import Block
    from loan_scoring.ingest.row_rules import RejectedRow

Application = Mapping[str, Any]
"""Fields of one application, by field name. A value is a string, a number, a boolean or None.

Whatever notation the files of the portfolio have, a number has a decimal point here, a boolean is
true or false, and a date is written as in ISO 8601. A key of several columns is the list of its
parts, or one string with the joined key.
"""

KINDS = {"boolean": "boolean", "date": "time", "datetime": "time"}
"""The kind of the values of a field, as in `Block.kinds`, by column type."""

EXACT_BELOW = 2**53
"""From this number on, float64 rounds whole numbers, so that a key may be that of another loan.

Such a number is written with an exponent, as in a file. Then the rules refuse it as a key.
"""


@dataclass(frozen=True)
class JudgedApplications:
    """Applications as typed rows, and what is wrong with the others.

    The column `line_number` of `rows` has the place of each row among the applications, from 0, and
    so has `line_number` of `rejected`. `faults` are of applications whose shape is wrong, so that
    no rule could be applied. `block` has the texts of the others.
    """

    rows: "pa.Table"
    rejected: "list[RejectedRow]"
    faults: list[Fault]
    block: "Block"

    def raw_text(self, place: int) -> str:
        """Return an application as a CSV record with the columns of `block`."""
        return self.block.raw_text(self.block.line_numbers.tolist().index(place))


def typed_applications(
    contract: Contract, applications: Sequence[Application], needed: Sequence[str] = ()
) -> "pa.Table":
    """Check applications and convert them to a table of typed columns.

    A field that is absent and not needed becomes null.

    Args:
        contract: contract of the portfolio.
        applications: applications, each with its fields by name.
        needed: names of fields that every application must contain, although the value may be
            null. The key is always needed, even if `needed` does not name the key.

    Raises:
        InputError: an application breaks a rule.
    """
    judged = judge_applications(contract, applications, needed)
    faults = judged.faults + [
        _fault(contract, each.line_number, rule) for each in judged.rejected for rule in each.rules
    ]
    if faults:
        raise InputError(sorted(faults, key=lambda fault: fault.row))
    return judged.rows


def judge_applications(
    contract: Contract, applications: Sequence[Application], needed: Sequence[str] = ()
) -> JudgedApplications:
    """Separate applications into typed rows and those that break a rule.

    The arguments are those of `typed_applications`.
    """
    import numpy as np
    import pyarrow as pa

    from loan_scoring.ingest.files.blocks import Block
    from loan_scoring.ingest.row_rules import RowRules

    faults = _shape_faults(contract, applications, {KEY, *needed})
    # A malformed application does not hide what is wrong with the others.
    malformed = {fault.row for fault in faults}
    whole = [row for row in range(len(applications)) if row not in malformed]
    text = {
        name: pa.array([_text(applications[row].get(column.name)) for row in whole], pa.string())
        for column in contract.inputs
        for name in column.sources
    } | _key_texts(contract.key, [applications[row].get(KEY) for row in whole])
    kinds = {
        name: "number" if column.is_numeric else KINDS.get(column.type, "")
        for column in contract.columns
        for name in column.sources
    }
    block = Block(pa.table(text), np.array(whole, dtype=np.int64), [], kinds=kinds)
    rows, rejected = RowRules(contract).apply(block)
    return JudgedApplications(rows, rejected, faults, block)


def _shape_faults(
    contract: Contract, applications: Sequence[Application], needed: set[str]
) -> list[Fault]:
    found = []
    declared = [column.name for column in contract.columns]
    for row, application in enumerate(applications):
        for name in [name for name in declared if name in needed - application.keys()]:
            message = "is missing; give its value, or null if there is none"
            found.append(Fault(row, name, "missing", message))
        for name, value in application.items():
            if name in contract.derived.columns:
                message = "is derived from other columns; leave it out"
                found.append(Fault(row, name, "derived_field", message))
            elif name not in contract.by_name:
                # Escape the name, because the response contains the name, and UTF-8 cannot encode
                # half of a surrogate pair.
                shown = name.encode("utf-8", "backslashreplace").decode()
                found.append(Fault(row, shown, "unknown_field", "is not a field of the contract"))
            elif isinstance(value, bool) and contract.by_name[name].type == "boolean":
                continue
            elif name == KEY and len(contract.key.sources) > 1:
                found += _key_faults(contract.key, row, value)
            elif not _is_plain(value):
                message = "must be text, a number or null"
                found.append(Fault(row, name, "not_plain", message))
            elif isinstance(value, str) and not is_storable(value):
                message = (
                    "contains a character that cannot be stored (NUL, or half of a surrogate pair)"
                )
                found.append(Fault(row, name, "encoding", message))
    return found


def _key_faults(key: Column, row: int, value: Any) -> list[Fault]:
    """Return the faults of a key of several columns, which is given by its parts or joined."""
    if value is None:
        return []
    from loan_scoring.ingest.keys import SEPARATOR

    parts = value if isinstance(value, list) else [value]
    if not all(part is None or _is_plain(part) for part in parts):
        message = "must be text, or a list of texts and numbers"
        return [Fault(row, KEY, "not_plain", message)]
    if not all(is_storable(part) for part in parts if isinstance(part, str)):
        message = "contains a character that cannot be stored (NUL, or half of a surrogate pair)"
        return [Fault(row, KEY, "encoding", message)]
    if _parts(key, value) is None:
        names = ", ".join(key.sources)
        joined = SEPARATOR.join(key.sources)
        message = f"is not a key of {names}; give [{names}], or one text {joined}"
        return [Fault(row, KEY, "not_a_key", message)]
    return []


def _parts(key: Column, value: Any) -> list[Any] | None:
    from loan_scoring.ingest.keys import key_parts

    count = len(key.sources)
    if value is None:
        return [None] * count
    if isinstance(value, list):
        return value if len(value) == count else None
    return key_parts(str(value), count)


def _key_texts(key: Column, values: list[Any]) -> "dict[str, pa.Array]":
    """Return the texts of keys by the column in which a file has them."""
    import pyarrow as pa

    from loan_scoring.ingest.keys import key_columns

    names = key_columns(key)
    if len(names) == 1:
        return {names[0]: pa.array([_text(value) for value in values], pa.string())}
    parts = [_parts(key, value) or [] for value in values]
    return {
        name: pa.array([_text(each[place]) for each in parts], pa.string())
        for place, name in enumerate(names)
    }


def _is_plain(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def is_storable(text: str) -> bool:
    """Return whether Postgres can store a string.

    Postgres can store neither the character NUL nor half of a surrogate pair.
    """
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and abs(value) >= EXACT_BELOW:
        return f"{value:.16e}"
    # repr gives the shortest string that converts back to the same float, so no digit is lost.
    return value if isinstance(value, str) else repr(value)


def _fault(contract: Contract, row: int, broken: str) -> Fault:
    """Return the validation error of a row, with a message that explains the broken rule.

    Args:
        contract: contract of the portfolio.
        row: index of the application in the request.
        broken: broken rule and column, as `rule:column`.
    """
    rule, _, name = broken.partition(":")
    column = contract.by_name[name]
    if rule == "not_a_number":
        message = "is not a whole number" if column.type == "integer" else "is not a number"
    elif rule == "out_of_range":
        message = f"is outside {_range(column)}"
    elif rule == "unknown_level":
        message = f"must be one of {', '.join(column.listed_levels)}"
    elif rule == "not_a_boolean":
        message = "must be true, false or null"
    elif rule == "not_a_date" and column.type == "date":
        message = "is not a date of the calendar; write it as YYYY-MM-DD"
    elif rule == "not_a_date":
        message = "is not a time; write it as in ISO 8601, such as 2026-01-05T13:30:00+01:00"
    elif rule == "exponent_key":
        message = "is written with an exponent, which may lose digits; write all its digits"
    elif rule == "not_a_uuid":
        message = "is not a UUID, 32 hexadecimal digits in groups of 8-4-4-4-12"
    elif rule == "null_key":
        message = "needs a value: it is the key"
    elif rule == "duplicate_key":
        message = "is used by two applications of this call"
    else:
        ratio = next(each for each in contract.ratios if each.name == rule)
        message = (
            f"is not {ratio.scale:g} x {ratio.numerator} / {ratio.denominator}; "
            "give consistent values, or null"
        )
    return Fault(row, name, rule, message)


def _range(column: Column) -> str:
    return " to ".join(
        "any" if bound is None else f"{bound:g}" if isinstance(bound, float) else str(bound)
        for bound in column.range or (None, None)
    )


def example_application(contract: Contract) -> dict[str, Any]:
    """Return an example application that breaks no rule.

    The example contains the key and every field that is known when an application is scored.
    """
    example: dict[str, Any] = {
        column.name: _example(column)
        for column in contract.columns
        if column.is_known_at_application or column.name == KEY
    }
    for ratio in contract.ratios:
        example[ratio.column] = ratio.scale * example[ratio.numerator] / example[ratio.denominator]
    return example


def _example(column: Column) -> Any:
    margin = column.margin.quantiles if column.margin else None
    first, last = column.date_bounds
    day = margin[3] if margin else first or last or date(2026, 1, 5)
    if column.is_numeric:
        middle = margin[3] if margin else next((e for e in column.bounds if e), 1)
        return int(middle) if column.type == "integer" else float(middle)  # type: ignore[arg-type]
    invented = {
        "boolean": True,
        "date": str(day),
        "datetime": f"{day}T12:00:00Z",
        "uuid": str(UUID(int=1)),
    }
    return invented.get(column.type, (column.listed_levels or ["A-1"])[0])
