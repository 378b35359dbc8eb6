"""Draw the form of a portfolio as a PDF: blank to be filled in, or filled with an application."""

import io
from collections.abc import Mapping
from typing import Any

from loan_scoring.scans.layout import (
    CELL_MM,
    CODE_LEFT_MM,
    CODE_TOP_MM,
    MARK_MM,
    MARKS,
    PAGE_MM,
    Layout,
)
from loan_scoring.scans.packages import need

MM = 72 / 25.4
FONTS = ("Helvetica", "Courier", "Times-Roman")
"""Fonts in which a branch may fill in a form."""
FONT_SIZE = 12.0


def draw_form(layout: Layout, values: Mapping[str, str] | None = None, font: str = "") -> bytes:
    """Return the form as PDF. Two calls give the same bytes.

    Args:
        layout: the form.
        values: the text of each box by column. None draws a blank form whose boxes can be filled
            in on a screen.
        font: font of the values.
    """
    canvas = need("reportlab.pdfgen.canvas")
    file = io.BytesIO()
    size = (PAGE_MM[0] * MM, PAGE_MM[1] * MM)
    page = canvas.Canvas(file, pagesize=size, invariant=1, pageCompression=1)
    page.setTitle(f"{layout.title}: application {layout.code}")
    for x, y in MARKS:
        _rectangle(page, x - MARK_MM / 2, y - MARK_MM / 2, MARK_MM, MARK_MM, fill=1)
    for place, bit in enumerate(layout.bits):
        if bit:
            _rectangle(page, CODE_LEFT_MM + place * CELL_MM, CODE_TOP_MM, CELL_MM, CELL_MM, fill=1)
    page.setFont("Helvetica-Bold", 13)
    page.drawString(20 * MM, _up(26), f"{layout.title}: loan application")
    page.setFont("Helvetica", 7)
    page.drawString(
        20 * MM,
        _up(30.5),
        "Fill in by machine. Leave a box empty if there is no value. Scan the whole page flat.",
    )
    page.drawString(41 * MM, _up(284), f"{layout.portfolio} {layout.code}")
    for box in layout.boxes:
        page.setFont("Helvetica", 7)
        unit = f" ({box.column.unit})" if box.column.unit else ""
        more = ", with check digits" if box.has_check_digits else ""
        page.drawString(box.left * MM, _up(box.top - 1), f"{box.label}{unit}{more}")
        page.setStrokeGray(0.7)
        page.setLineWidth(0.4)
        _rectangle(page, box.left, box.top, box.width, box.height, fill=0)
        page.setStrokeGray(0)
        if values is None:
            page.acroForm.textfield(
                name=box.column.name, x=box.left * MM, y=_up(box.top + box.height),
                width=box.width * MM, height=box.height * MM, borderWidth=0, fontSize=FONT_SIZE,
                fontName="Helvetica", forceBorder=False, fillColor=None, tooltip=box.label,
            )  # fmt: skip
        elif values.get(box.column.name):
            page.setFont(font or FONTS[0], FONT_SIZE)
            baseline = _up(box.top + box.height / 2 + 1.45)
            page.drawString((box.left + 2.5) * MM, baseline, values[box.column.name])
    page.showPage()
    page.save()
    return file.getvalue()


def _rectangle(page: Any, x: float, y: float, width: float, height: float, *, fill: int) -> None:
    page.rect(x * MM, _up(y + height), width * MM, height * MM, stroke=1 - fill, fill=fill)


def _up(y: float) -> float:
    """Return a height above the lower edge, in points."""
    return (PAGE_MM[1] - y) * MM
