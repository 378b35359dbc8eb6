"""Place the boxes, the corner marks and the bar code of a form on its page.

All lengths are millimetres from the upper left corner of an A4 page.
"""

import hashlib
from dataclasses import dataclass

from loan_scoring.contract import Column, Contract
from loan_scoring.contract.scan_form import BOTTOM_MM, PAGE_MM, ROW_MM, TOP_MM, form_columns
from loan_scoring.errors import StateError

MARK_MM = 7.0
MARKS = ((15.0, 15.0), (195.0, 15.0), (195.0, 282.0), (15.0, 282.0))
"""Centres of the black squares in the corners, clockwise from the upper left one."""
CELLS = 32
CELL_MM = 4.0
CODE_LEFT_MM, CODE_TOP_MM = 41.0, 13.0
LEFTS_MM, BOX_WIDTH_MM, BOX_HEIGHT_MM, LABEL_MM = (20.0, 108.0), 82.0, 7.6, 4.0


@dataclass(frozen=True)
class Box:
    """The box of one column."""

    column: Column
    label: str
    has_check_digits: bool
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """A form: its boxes in reading order, and the bits of its bar code.

    The bits are a hash of columns and places. So a form that was printed for another contract is
    refused instead of read wrongly.
    """

    portfolio: str
    title: str
    boxes: tuple[Box, ...]
    bits: tuple[bool, ...]

    @property
    def code(self) -> str:
        """The bits as eight hexadecimal digits, which are printed at the foot of the form."""
        return f"{int(''.join('01'[bit] for bit in self.bits), 2):08x}"


def form_layout(contract: Contract) -> Layout:
    """Return the layout of a portfolio's form.

    Raises:
        StateError: the contract declares no form.
    """
    form = contract.scan_form
    if form is None:
        raise StateError(
            f"portfolio {contract.portfolio} has no form: add `scan_form: {{}}` to its contract"
        )
    rows = int((BOTTOM_MM - TOP_MM) // ROW_MM)
    boxes = []
    for place, column in enumerate(form_columns(contract)):
        default = (
            LEFTS_MM[place // rows],
            TOP_MM + (place % rows) * ROW_MM + LABEL_MM,
            BOX_WIDTH_MM,
            BOX_HEIGHT_MM,
        )
        where = form.boxes.get(column.name, default)
        label = form.labels.get(column.name, column.label)
        boxes.append(Box(column, label, column.name in form.check_digits, *where))
    text = repr(
        [contract.portfolio]
        + [(b.column.name, b.has_check_digits, b.left, b.top, b.width, b.height) for b in boxes]
    )
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[: CELLS // 8])
    bits = tuple(bool(number >> place & 1) for place in reversed(range(CELLS)))
    return Layout(contract.portfolio, contract.title, tuple(boxes), bits)


__all__ = ["PAGE_MM", "Box", "Layout", "form_layout"]
