"""Make blocks and texts that several parts of the report need."""

from typing import Any

from loan_scoring import database
from loan_scoring.contract.parts import ContractPart
from loan_scoring.models.card.blocks import Block, Note, Table, Text

MISSING = "not recorded"


def stated(text: str | None, field: str, owner: str) -> list[Block]:
    """Return a text of the contract, or a note that it is open and who writes it.

    Args:
        text: text of the contract's field, or None.
        field: name of the field below `governance`.
        owner: owner of the contract.
    """
    if text:
        return [Text(text)]
    return [gap(f"the contract's field governance.{field}, by {owner}")]


def gap(who: str) -> Note:
    """Return a note that something is open. `who` says what is needed and from whom."""
    return Note(f"Open: {who}.", "bad")


def table(head: list[str], rows: list[list[Any]], numbers: set[int] | None = None) -> Table:
    """Return a table of texts. None becomes an empty cell."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    return Table(head, cells, frozenset(numbers or ()))


def rate(value: float | None, digits: int = 1) -> str:
    """Return a share in percent. Return an empty text for None.

    >>> rate(0.1234)
    '12.3 %'
    """
    return "" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with a fixed number of digits. Return an empty text for None."""
    return "" if value is None else f"{value:.{digits}f}"


def when(moment: Any) -> str:
    """Return a moment in UTC to the minute. Return an empty text for None."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def policy_table(part: ContractPart, name: str, **further: Any) -> Table:
    """Return the fields of a part of the contract with their values, defaults included.

    Args:
        part: the part of the contract.
        name: name of the part, to stand before each field.
        further: more rows.
    """
    return table(
        ["field of the contract", "value"], [*_flat(part, name), *map(list, further.items())]
    )


def _flat(part: ContractPart, name: str) -> list[list[Any]]:
    # Not a dump of the part, which leaves out fields with their defaults.
    rows: list[list[Any]] = []
    for field in type(part).model_fields:
        value = getattr(part, field)
        if isinstance(value, ContractPart):
            rows += _flat(value, f"{name}.{field}")
        else:
            rows.append([f"{name}.{field}", _shown(value)])
    return rows


def _shown(value: Any) -> str:
    """Return a value of the contract as text.

    >>> _shown([]), _shown([1, 2]), _shown(100_000), _shown(0.5)
    ('none', '1, 2', '100,000', '0.5')
    """
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, ContractPart):
        return " ".join(str(each) for each in value.model_dump(exclude_defaults=True).values())
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def signature_table(signatures: list[database.Row]) -> Table:
    """Return the signatures on a model."""
    return table(
        ["signed", "by", "when (UTC)", "sha256 of the artifact", "what was found"],
        [
            [
                each["signed_as"], each["signed_by"], when(each["signed_at"]),
                each["artifact_sha256"][:16], each["comment"],
            ]
            for each in signatures
        ],
    )  # fmt: skip
