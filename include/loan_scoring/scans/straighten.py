"""Find the corner marks of a form, lay the page straight, and refuse a page of poor quality."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loan_scoring.errors import SourceError
from loan_scoring.scans.degrade import Image
from loan_scoring.scans.layout import (
    CELL_MM,
    CELLS,
    CODE_LEFT_MM,
    CODE_TOP_MM,
    MARK_MM,
    MARKS,
    PAGE_MM,
    Layout,
)
from loan_scoring.scans.packages import need

DPI = 200
PX = DPI / 25.4
"""Pixels a millimetre of a straight page."""
LEAST_DPI = 100
LEAST_CONTRAST = 0.3
MOST_BLUR_MM = 0.75
DARK = 128
"""Brightness, relative to the paper, below which a cell of the bar code is black."""
NEAR = 0.25
"""Farthest that a mark is from its corner of the picture, as a share of the diagonal."""
LONGEST = 3500
"""Longer pages are made smaller first. A4 at 300 dpi has 3,508 rows."""


@dataclass(frozen=True)
class PageQuality:
    """What the marks tell of a scan: resolution, contrast from 0 to 1, and width of an edge."""

    dpi: float
    contrast: float
    blur_mm: float
    degrees: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name, rounded."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class StraightPage:
    """A page at 200 dpi with its marks where the form has them, on even white paper."""

    image: Image
    quality: PageQuality


def straighten(page: Image, layout: Layout, where: str) -> StraightPage:
    """Return a page laid straight.

    Args:
        page: scanned page.
        layout: form that the page should be.
        where: file and page for messages.

    Raises:
        SourceError: the page is not this form, or its quality is too poor to be read.
    """
    cv2 = need("cv2")
    if max(page.shape) > LONGEST:
        scale = LONGEST / max(page.shape)
        page = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    even = even_page(page)
    corners = _corners(even)
    if corners is None:
        raise SourceError(
            f"{where}: the four corner marks of the form were not found; scan the whole form flat, "
            "or remove what is no form"
        )
    target = np.array(MARKS, np.float32) * PX
    size = (round(PAGE_MM[0] * PX), round(PAGE_MM[1] * PX))
    for turn in range(4):
        placed = np.roll(corners, turn, axis=0).astype(np.float32)
        lay = cv2.getPerspectiveTransform(placed, target)
        straight = cv2.warpPerspective(even, lay, size, flags=cv2.INTER_CUBIC, borderValue=255)
        if _bits(straight) == layout.bits:
            raw = cv2.warpPerspective(page, lay, size, flags=cv2.INTER_CUBIC, borderValue=255)
            return StraightPage(straight, _judged(raw, placed, where))
        _refuse_pale(straight, where)
    raise SourceError(
        f"{where}: this is not the present form of {layout.portfolio} ({layout.code}): its bar "
        "code differs or cannot be read; print the form anew with `loan-scoring scans form`"
    )


def even_page(page: Image) -> Image:
    """Return a page without shadows: each pixel by the brightness of the paper around it."""
    cv2 = need("cv2")
    rows, columns = page.shape
    small = cv2.resize(
        page, (max(columns // 8, 1), max(rows // 8, 1)), interpolation=cv2.INTER_AREA
    )
    reach = max(min(small.shape) // 12, 3) | 1
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    paper = cv2.GaussianBlur(paper, (0, 0), reach / 3)
    paper = cv2.resize(paper, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.divide(page, np.maximum(paper, 1), scale=255), np.uint8)


def _squares(page: Image) -> NDArray[np.float64]:
    """Return the centres of solid squares of the size of a mark, shape (squares, 2)."""
    cv2 = need("cv2")
    side = min(page.shape) / PAGE_MM[0] * MARK_MM
    _, dark = cv2.threshold(
        cv2.medianBlur(page, 3), 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU
    )
    reach = max(round(side / 8), 1)
    dark = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8))
    outlines, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in outlines:
        centre, (width, height), _ = cv2.minAreaRect(outline)
        short, long = min(width, height), max(width, height)
        is_square = short > 0.5 * side and long < 1.5 * side and short > 0.75 * long
        if is_square and cv2.contourArea(outline) > 0.8 * width * height:
            found.append(centre)
    return np.array(found, np.float64).reshape(-1, 2)


def _from_corners(page: Image, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each square is from each corner of the picture, shape (squares, 4)."""
    rows, columns = page.shape
    ends = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)])
    return np.asarray(np.linalg.norm(centres[:, None] - ends[None], axis=2))


def squares_of(even: Image) -> tuple[int, int]:
    """Return how many squares like marks an even page has, and in how many corners one is."""
    centres = _squares(even)
    if not len(centres):
        return 0, 0
    apart = _from_corners(even, centres).min(axis=0)
    return len(centres), int((apart < NEAR * np.hypot(*even.shape)).sum())


def _corners(page: Image) -> NDArray[np.float64] | None:
    """Return the centres of the four marks, clockwise from the upper left one of the picture."""
    centres = _squares(page)
    if len(centres) < 4:
        return None
    apart = _from_corners(page, centres)
    nearest = apart.argmin(axis=0)
    if len(set(nearest)) < 4 or apart.min(axis=0).max() > NEAR * np.hypot(*page.shape):
        return None
    return np.asarray(centres[nearest])


def _bits(straight: Image) -> tuple[bool, ...]:
    inset = CELL_MM / 4
    return tuple(
        bool(
            np.mean(
                _cut(
                    straight,
                    CODE_LEFT_MM + place * CELL_MM + inset,
                    CODE_TOP_MM + inset,
                    CELL_MM - 2 * inset,
                    CELL_MM - 2 * inset,
                )
            )
            < DARK
        )
        for place in range(CELLS)
    )


def _refuse_pale(straight: Image, where: str) -> None:
    """Refuse a page whose marks are so pale that its bar code cannot be read.

    Raises:
        SourceError: it is.
    """
    marks = [float(np.median(_cut(straight, x - 2, y - 2, 4, 4))) for x, y in MARKS]
    if max(marks) >= DARK:
        raise SourceError(
            f"{where}: the print is too pale (contrast {1 - max(marks) / 255:.2f}, "
            f"{1 - DARK / 255:.2f} is the least); scan it darker, or print it anew"
        )


def _judged(raw: Image, corners: NDArray[Any], where: str) -> PageQuality:
    """Return the quality of a page.

    Raises:
        SourceError: the page cannot be read reliably.
    """
    width_px = float(np.linalg.norm(corners[1] - corners[0]))
    dpi = width_px / (MARKS[1][0] - MARKS[0][0]) * 25.4
    slope = corners[1] - corners[0]
    contrasts, blurs = [], []
    for x, y in MARKS:
        inner = _cut(raw, x - 2, y - 2, 4, 4)
        profile = _cut(raw, x - MARK_MM, y - 2, 2 * MARK_MM, 4).mean(axis=0)
        paper = float(np.percentile(profile, 90))
        contrast = (paper - float(np.median(inner))) / 255
        steepest = float(np.abs(np.diff(profile)).max()) / 255
        contrasts.append(contrast)
        blurs.append(contrast / max(steepest, 1e-6) / PX)
    quality = PageQuality(
        dpi,
        min(contrasts),
        float(np.median(blurs)),
        float(np.degrees(np.arctan2(slope[1], slope[0]))),
    )
    if quality.dpi < LEAST_DPI:
        raise SourceError(
            f"{where}: {quality.dpi:.0f} dpi is too coarse, {LEAST_DPI} is the least; scan it at "
            "200 dpi"
        )
    if quality.contrast < LEAST_CONTRAST:
        raise SourceError(
            f"{where}: the print is too pale (contrast {quality.contrast:.2f}, "
            f"{LEAST_CONTRAST} is the least); scan it darker, or print it anew"
        )
    if quality.blur_mm > MOST_BLUR_MM:
        raise SourceError(
            f"{where}: blurred, edges are {quality.blur_mm:.2f} mm wide and {MOST_BLUR_MM} is the "
            "most; lay the page flat on the glass and scan it again"
        )
    return quality


def _cut(image: Image, left: float, top: float, width: float, height: float) -> Image:
    return image[
        round(top * PX) : round((top + height) * PX), round(left * PX) : round((left + width) * PX)
    ]
