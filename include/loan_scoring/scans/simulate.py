"""Fill in forms with applications and degrade them, so that reading can be measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loan_scoring.contract import Column
from loan_scoring.scans.check_digits import with_check_digits
from loan_scoring.scans.degrade import QUALITIES, Image, degrade
from loan_scoring.scans.form import FONTS, draw_form
from loan_scoring.scans.layout import Layout
from loan_scoring.scans.packages import need

CLEAN_DPI = 200


@dataclass(frozen=True)
class SimulatedPage:
    """A degraded form, and the texts that were filled in by column."""

    name: str
    texts: dict[str, str]
    image: Image


def simulate_pages(
    layout: Layout, rows: Sequence[Mapping[str, str]], quality: str, seed: int = 1
) -> Iterator[SimulatedPage]:
    """Yield a degraded page for each application. Equal arguments give equal pages.

    Args:
        layout: the form.
        rows: applications as texts by column, as a file has them.
        quality: `good`, `fair` or `poor`.
        seed: start of the random numbers.
    """
    draw = np.random.default_rng([seed, *quality.encode()])
    for place, row in enumerate(rows):
        texts = {b.column.name: filled(b.column, row.get(b.column.name, "")) for b in layout.boxes}
        clean = render(layout, texts, FONTS[place % len(FONTS)])
        image = degrade(clean, CLEAN_DPI, QUALITIES[quality], draw)
        yield SimulatedPage(f"{quality}-{place + 1:04}", texts, image)


def filled(column: Column, text: str) -> str:
    """Return a value as a person fills it in: no fraction of zeros, nothing for a null."""
    text = text.strip()
    if text in column.null_tokens:
        return ""
    if column.is_numeric and not column.has_notation and "." in text:
        text = text.rstrip("0").removesuffix(".")
    return text


def render(layout: Layout, texts: Mapping[str, str], font: str) -> Image:
    """Return a filled form as a clean picture at 200 dpi."""
    printed = {
        box.column.name: with_check_digits(text) if box.has_check_digits and text else text
        for box in layout.boxes
        for text in [texts.get(box.column.name, "")]
    }
    return render_pdf(draw_form(layout, printed, font))


def render_pdf(content: bytes) -> Image:
    """Return the first page of a PDF at 200 dpi."""
    document = need("pypdfium2").PdfDocument(content)
    try:
        bitmap = document[0].render(scale=CLEAN_DPI / 72, grayscale=True)
        return np.array(bitmap.to_numpy(), np.uint8).reshape(bitmap.height, bitmap.width)
    finally:
        document.close()


def as_jpeg(image: Image) -> bytes:
    """Return a picture as a JPEG file without visible loss."""
    return _packed(image, ".jpg", [need("cv2").IMWRITE_JPEG_QUALITY, 95])


def as_png(image: Image) -> bytes:
    """Return a picture as a PNG file."""
    return _packed(image, ".png", [])


def _packed(image: Image, ending: str, parameters: list[int]) -> bytes:
    done, packed = need("cv2").imencode(ending, image, parameters)
    assert done  # noqa: S101 - a picture in memory can always be packed
    return bytes(packed)
