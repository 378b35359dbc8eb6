"""Compute the figures of a page from which the classifier tells what it is.

A page may lie on any side, so no figure depends on which one it is.
"""

import numpy as np
from numpy.typing import NDArray

from loan_scoring.scans.degrade import Image
from loan_scoring.scans.packages import need
from loan_scoring.scans.straighten import even_page, squares_of

LONGEST = 800
"""Rows or columns of the page on which figures are computed: about 70 dpi for A4."""
PAPER, INK = 0.85, 0.5
"""Share of the paper's brightness above which a pixel is paper, and below which it is ink."""
RULE = 0.06
"""Length of a ruled line, as a share of the longer side."""
GRID = 4

FEATURES = (
    "aspect", "brightness", "spread", "paper", "midtones", "ink", "entropy", "edges",
    "rules_along", "rules_across", "lines_along", "lines_across", "blobs", "blob_height",
    "largest_blob", "rectangles", "squares", "corner_squares", "densest", "median_density",
    "emptiest",
)  # fmt: skip


def page_features(page: Image) -> NDArray[np.float64]:
    """Return the figures of a page in the order of FEATURES, shape (features,).

    Args:
        page: page in shades of grey, shape (rows, columns).
    """
    cv2 = need("cv2")
    scale = LONGEST / max(page.shape)
    size = [max(round(side * scale), GRID) for side in page.shape[::-1]]
    small = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    bright = small / max(float(np.percentile(small, 98)), 1.0)
    shares = np.bincount(small.ravel() >> 3, minlength=32) / small.size
    slopes = np.hypot(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    even = even_page(small)
    ink = (even < 255 * INK).astype(np.uint8)
    marks, corners = squares_of(_larger(page))
    cells = [
        float(part.mean())
        for band in np.array_split(ink, GRID, axis=0)
        for part in np.array_split(band, GRID, axis=1)
    ]
    return np.array(
        [
            min(small.shape) / max(small.shape),
            small.mean() / 255,
            small.std() / 255,
            (bright > PAPER).mean(),
            ((bright <= PAPER) & (bright >= INK)).mean(),
            (bright < INK).mean(),
            -(shares[shares > 0] * np.log2(shares[shares > 0])).sum(),
            (slopes > 60).mean(),
            *_both_ways(_rules(ink, 1), _rules(ink, 0)),
            *_both_ways(float(ink.mean(axis=1).std()), float(ink.mean(axis=0).std())),
            *_blobs(ink),
            _rectangles(ink),
            min(marks, 12),
            corners,
            max(cells),
            float(np.median(cells)),
            min(cells),
        ]
    )


def _larger(page: Image) -> Image:
    """Return an even page at twice LONGEST at most, where corner marks are still whole."""
    cv2 = need("cv2")
    scale = min(2 * LONGEST / max(page.shape), 1.0)
    return even_page(cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _both_ways(one: float, other: float) -> tuple[float, float]:
    return max(one, other), min(one, other)


def _rules(ink: Image, axis: int) -> float:
    """Return the share of pixels in ruled lines along an axis."""
    cv2 = need("cv2")
    length = round(RULE * LONGEST)
    shape = (1, length) if axis else (length, 1)
    return float(cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones(shape, np.uint8)).mean())


def _blobs(ink: Image) -> tuple[float, float, float]:
    """Return the logarithm of the number of spots, their median height, and the largest share."""
    _, _, stats, _ = need("cv2").connectedComponentsWithStats(ink, connectivity=8)
    spots = stats[1:][stats[1:, 4] >= 4]
    if not len(spots):
        return 0.0, 0.0, 0.0
    heights = np.minimum(spots[:, 2], spots[:, 3])
    return (
        float(np.log1p(len(spots))),
        float(np.median(heights)) / LONGEST,
        float(spots[:, 4].max()) / ink.size,
    )


def _rectangles(ink: Image) -> float:
    """Return the logarithm of the number of frames with four corners, such as boxes of a form."""
    cv2 = need("cv2")
    outlines, _ = cv2.findContours(ink, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = 0
    for outline in outlines:
        if cv2.contourArea(outline) < 0.0015 * ink.size:
            continue
        corners = cv2.approxPolyDP(outline, 0.03 * cv2.arcLength(outline, closed=True), closed=True)
        found += len(corners) == 4
    return float(np.log1p(found))
