"""Draw pages that are no form: identity documents, pay slips and others, all invented.

The classifier is trained on them, so that no document of a person is needed.
"""

import io
from typing import Any

import numpy as np

from loan_scoring.scans.degrade import Image
from loan_scoring.scans.form import FONTS, MM
from loan_scoring.scans.packages import need
from loan_scoring.scans.simulate import render_pdf

A4_MM = (210.0, 297.0)
NAMES = ("Alva Moreno", "Kim Okafor", "Noor Haddad", "Tomas Lindqvist", "Wei Sato", "Ada Fischer")
WORDS = (
    "account", "agreement", "annual", "balance", "bank", "branch", "confirm", "contract", "date",
    "dear", "delivery", "following", "inform", "interest", "invoice", "letter", "month", "notice",
    "office", "order", "payment", "period", "property", "regards", "request", "return", "service",
    "since", "statement", "thank", "total", "value", "week", "within", "year",
)  # fmt: skip
ITEMS = (
    "Basic pay",
    "Overtime",
    "Allowance",
    "Bonus",
    "Income tax",
    "Pension",
    "Insurance",
    "Meals",
)

Random = np.random.Generator


def draw_identity_document(draw: Random) -> Image:
    """Return a copy of an invented card or passport, on a sheet of paper or cut out."""
    width, height = (85.6, 54.0) if draw.random() < 0.6 else (125.0, 88.0)
    is_cut = draw.random() < 0.35
    sheet = (width + 4, height + 4) if is_cut else A4_MM
    file, page = _canvas(sheet)
    sides = 1 if is_cut or draw.random() < 0.5 else 2
    for side in range(sides):
        left = 2.0 if is_cut else draw.uniform(10, sheet[0] - width - 10)
        bottom = 2.0 if is_cut else draw.uniform(10, 130 - height) + side * 140
        _card(page, draw, left, bottom, width, height, has_portrait=side == 0)
    image = _rendered(file, page)
    # A portrait and a printed background have shades, which lines and letters have not.
    rough = need("cv2").GaussianBlur(
        draw.normal(0, 60, image.shape).astype(np.float32), (0, 0), draw.uniform(2, 6)
    )
    shaded = image < 250
    return np.asarray(np.clip(image + rough * shaded, 0, 255), np.uint8)


def _card(
    page: Any, draw: Random, left: float, bottom: float, width: float, height: float,
    *, has_portrait: bool,
) -> None:  # fmt: skip
    page.setFillGray(draw.uniform(0.72, 0.92))
    page.roundRect(left * MM, bottom * MM, width * MM, height * MM, 3 * MM, stroke=1, fill=1)
    page.setStrokeGray(0.65)
    for step in range(12):
        y = bottom + height * (step + 0.5) / 12
        page.bezier(
            left * MM, y * MM, (left + width / 3) * MM, (y + 6) * MM,
            (left + width * 2 / 3) * MM, (y - 6) * MM, (left + width) * MM, y * MM,
        )  # fmt: skip
    if has_portrait:
        side = width * 0.28
        x, y = left + width * 0.06, bottom + height * 0.3
        page.setFillGray(draw.uniform(0.5, 0.75))
        page.rect(x * MM, y * MM, side * MM, side * 1.25 * MM, fill=1)
        page.setFillGray(draw.uniform(0.2, 0.55))
        page.ellipse(
            (x + side * 0.25) * MM, (y + side * 0.4) * MM,
            (x + side * 0.75) * MM, (y + side * 1.1) * MM, fill=1,
        )  # fmt: skip
        page.ellipse(
            (x + side * 0.05) * MM, (y - side * 0.2) * MM,
            (x + side * 0.95) * MM, (y + side * 0.42) * MM, fill=1,
        )  # fmt: skip
    page.setFillGray(0.1)
    page.setFont("Helvetica-Bold", height / 9)
    page.drawString((left + width * 0.06) * MM, (bottom + height * 0.88) * MM, "IDENTITY CARD")
    page.setFont("Helvetica", height / 12)
    for line in range(5 if has_portrait else 7):
        text = f"{draw.choice(NAMES)} {draw.integers(10_000, 99_999)}"
        page.drawString(
            (left + width * (0.42 if has_portrait else 0.08)) * MM,
            (bottom + height * (0.76 - 0.1 * line)) * MM,
            text,
        )
    page.setFont("Courier-Bold", height / 11)
    for line in range(2):
        name = str(draw.choice(NAMES)).upper().replace(" ", "<<")
        code = f"IDUTO{name}{'<' * 8}{draw.integers(10**8, 10**9)}"[:36]
        page.drawString((left + 3) * MM, (bottom + height * (0.06 + 0.1 * line)) * MM, code)


def draw_pay_slip(draw: Random) -> Image:
    """Return an invented pay slip: a head, a table of amounts, a total."""
    file, page = _canvas(A4_MM)
    font, left = str(draw.choice(FONTS)), draw.uniform(15, 30)
    page.setFont("Helvetica-Bold", draw.uniform(12, 18))
    page.drawString(left * MM, 275 * MM, f"{draw.choice(NAMES).split()[1]} & Co")
    page.setFont(font, 10)
    top = draw.uniform(240, 262)
    for line in range(int(draw.integers(3, 7))):
        text = f"{str(draw.choice(WORDS)).title()}: {draw.choice(NAMES)} {draw.integers(100, 9999)}"
        page.drawString(left * MM, (top - 5.5 * line) * MM, text)
    page.setFont("Helvetica-Bold", 13)
    page.drawString(left * MM, (top - 45) * MM, f"Pay slip {draw.integers(1, 13):02}/2026")
    page.setFont(font, draw.uniform(9, 11))
    y, step, right = top - 55, draw.uniform(6, 8), 210 - left
    rows, is_ruled = int(draw.integers(8, 19)), draw.random() < 0.6
    for row in range(rows + 2):
        at = y - step * row
        label = "Net pay" if row == rows + 1 else str(draw.choice(ITEMS))
        page.drawString((left + 2) * MM, at * MM, label)
        for place in range(1, 4):
            x = left + (right - left) * (0.4 + 0.2 * place) - 2
            page.drawRightString(x * MM, at * MM, f"{draw.uniform(10, 6000):,.2f}")
        if is_ruled or row in (0, rows):
            page.line(left * MM, (at - 2) * MM, right * MM, (at - 2) * MM)
    if is_ruled and draw.random() < 0.5:
        page.rect(left * MM, (at - 3) * MM, (right - left) * MM, (y - at + step + 2) * MM)
    return _rendered(file, page)


def draw_other(draw: Random) -> Image:
    """Return something else: a letter, two columns of print, an empty sheet, or a photo."""
    what = draw.random()
    if what < 0.5:
        return _letter(draw, 1 if what < 0.3 else 2)
    if what < 0.65:
        return np.full((2339, 1654), int(draw.integers(225, 256)), np.uint8)
    return _photo(draw)


def _letter(draw: Random, columns: int) -> Image:
    file, page = _canvas(A4_MM)
    size = draw.uniform(8, 12)
    page.setFont(str(draw.choice(FONTS)), size)
    wide = 170 / columns
    for column in range(columns):
        for line in range(int(draw.integers(12, int(245 / (size * 0.5))))):
            if draw.random() < 0.12:
                continue
            words = " ".join(draw.choice(WORDS, int(wide / 9)))
            page.drawString((20 + column * (wide + 4)) * MM, (272 - line * size * 0.5) * MM, words)
    return _rendered(file, page)


def _photo(draw: Random) -> Image:
    """Return a picture of soft shapes in all shades, as a photo has them."""
    cv2 = need("cv2")
    rows, columns = (int(side) for side in draw.integers(700, 2000, 2))
    waves = [draw.uniform(0.5, 4, 2) for _ in range(3)]
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    scene = sum(np.sin(6.3 * (a * x + b * y)) for a, b in waves)
    image = (110 + 35 * scene).astype(np.float32)
    for _ in range(int(draw.integers(4, 16))):
        centre = (int(draw.integers(0, columns)), int(draw.integers(0, rows)))
        axes = tuple(int(each) for each in draw.integers(20, max(rows, columns) // 3, 2))
        shade = float(draw.uniform(10, 250))
        cv2.ellipse(image, centre, axes, float(draw.uniform(0, 180)), 0, 360, shade, -1)
    image = cv2.GaussianBlur(image, (0, 0), draw.uniform(1, 8))
    grain = cv2.GaussianBlur(
        draw.normal(0, draw.uniform(5, 60), image.shape).astype(np.float32), (0, 0), 1.5
    )
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)


DRAWN = {
    "identity_document": draw_identity_document, "pay_slip": draw_pay_slip, "other": draw_other,
}  # fmt: skip


def _canvas(size: tuple[float, float]) -> tuple[io.BytesIO, Any]:
    file = io.BytesIO()
    page = need("reportlab.pdfgen.canvas").Canvas(
        file, pagesize=(size[0] * MM, size[1] * MM), invariant=1, pageCompression=0
    )
    return file, page


def _rendered(file: io.BytesIO, page: Any) -> Image:
    page.showPage()
    page.save()
    return render_pdf(file.getvalue())
