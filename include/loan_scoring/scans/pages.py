"""Open a scanned file and yield its pages as images, within limits that stop hostile files.

Sizes are read from headers, before a page is decoded.
"""

import io
import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from loan_scoring.errors import SourceError
from loan_scoring.scans.degrade import Image
from loan_scoring.scans.packages import need

ENDINGS = (".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "TIFF")
MOST_BYTES = 40 << 20
MOST_PAGES = 50
MOST_PIXELS = 40_000_000
"""Pixels of a page: A4 in grey at 600 dpi has 35 million."""
DPI = 200
LONGEST_INCHES = 30.0


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a scanned file.

    Raises:
        SourceError: the file is too large, empty or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SourceError(
                f"{path}: {size / 1e6:.0f} MB, and a scan has at most {MOST_BYTES / 1e6:.0f} MB; "
                "scan in grey at 200 dpi, or split the file"
            )
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise SourceError(f"{path}: the file is empty; scan the page again")
    return content


EMPTY: Image = np.empty((0, 0), np.uint8)
"""Stands for a page that is not wanted."""


def page_images(
    path: Path, content: bytes, without: Container[int] = ()
) -> Iterator[Image | SourceError]:
    """Yield the pages of a file in shades of grey, or the error of a page that cannot be shown.

    Args:
        path: name of the file for messages.
        content: its bytes.
        without: numbers, from 1, of pages that are not decoded. EMPTY stands for them.

    Raises:
        SourceError: the whole file is corrupt, encrypted, of another format, or has too many pages
            or pixels.
    """
    is_pdf = b"%PDF-" in content[:1024]
    opened = _opened_pdf if is_pdf else _opened_image
    with opened(path, content) as (pages, show):
        for number in range(pages):
            found: Image | SourceError = EMPTY
            try:
                if number + 1 not in without:
                    found = show(number)
            except SourceError as error:
                found = error
            yield found


Opened = tuple[int, Callable[[int], Image]]
"""Number of pages of a file, and a function that shows one of them, from 0."""


@contextmanager
def _opened_pdf(path: Path, content: bytes) -> Iterator[Opened]:
    pdfium, raw = need("pypdfium2"), need("pypdfium2.raw")
    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise SourceError(f"{path}: the PDF is encrypted; save it without a password") from None
        raise SourceError(f"{path}: the PDF is corrupt ({error}); scan it again") from None

    def show(number: int) -> Image:
        try:
            page = document[number]
            _refuse_large(path, number, page, raw)
            bitmap = page.render(scale=DPI / 72, grayscale=True)
        except pdfium.PdfiumError as error:
            raise SourceError(
                f"{path} page {number + 1}: the PDF is corrupt ({error}); scan it again"
            ) from None
        return np.array(bitmap.to_numpy(), np.uint8).reshape(bitmap.height, bitmap.width)

    try:
        _refuse_pages(path, len(document))
        if document.get_formtype() != raw.FORMTYPE_NONE:
            document.init_forms()
        yield len(document), show
    finally:
        document.close()


def _refuse_large(path: Path, number: int, page: Any, raw: Any) -> None:
    """Refuse a page that is larger than paper, or holds a picture with too many pixels."""
    width, height = page.get_size()
    if max(width, height) > LONGEST_INCHES * 72:
        raise SourceError(
            f"{path} page {number + 1}: {width / 72:.0f} x {height / 72:.0f} inches is no sheet of "
            "paper; scan the form as A4"
        )
    for picture in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]):
        _refuse_pixels(f"{path} page {number + 1}", *picture.get_px_size())


@contextmanager
def _opened_image(path: Path, content: bytes) -> Iterator[Opened]:
    from PIL import Image as Pictures
    from PIL import UnidentifiedImageError

    broken = (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError)
    try:
        with warnings.catch_warnings():
            # It says what is refused below, by a limit of our own.
            warnings.simplefilter("ignore", Pictures.DecompressionBombWarning)
            picture = Pictures.open(io.BytesIO(content), formats=FORMATS)
        frames = getattr(picture, "n_frames", 1)
    except Pictures.DecompressionBombError:
        raise SourceError(_bomb(path)) from None
    except broken:
        raise SourceError(
            f"{path}: this is neither a PDF nor a whole PNG, JPEG or TIFF; scan it again"
        ) from None
    _refuse_pages(path, frames)

    def show(frame: int) -> Image:
        try:
            picture.seek(frame)
            _refuse_pixels(f"{path} page {frame + 1}", *picture.size)
            flat = picture.convert("RGBA") if "A" in picture.getbands() else picture
            if flat is not picture:
                paper = Pictures.new("RGBA", flat.size, "white")
                flat = Pictures.alpha_composite(paper, flat)
            return np.array(flat.convert("L"), np.uint8)
        except Pictures.DecompressionBombError:
            raise SourceError(_bomb(path)) from None
        except broken as error:
            raise SourceError(
                f"{path} page {frame + 1}: the picture is corrupt ({error}); scan it again"
            ) from None

    yield frames, show


def _bomb(path: Path) -> str:
    return f"{path}: the picture has far more pixels than a page; scan it in grey at 200 dpi"


def _refuse_pages(path: Path, pages: int) -> None:
    if pages > MOST_PAGES:
        raise SourceError(
            f"{path}: {pages} pages, and a file of scans has at most {MOST_PAGES}; split it"
        )


def _refuse_pixels(where: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise SourceError(
            f"{where}: {width} x {height} pixels, and a page has at most {MOST_PIXELS / 1e6:.0f} "
            "million; scan it in grey at 200 dpi"
        )
