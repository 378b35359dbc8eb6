"""Make a clean page look as a scanner leaves it: turned, noisy, blurred, shaded, compressed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loan_scoring.scans.packages import need

Image = NDArray[np.uint8]
"""A page in shades of grey: rows, columns; 0 is black."""


@dataclass(frozen=True)
class Quality:
    """How far each defect goes; each page draws its own up to that."""

    dpi: int
    degrees: float
    blur_mm: float
    noise: float
    shade: float
    fax_lines: int
    contrast: float
    jpeg: int


QUALITIES = {
    "good": Quality(200, 1.0, 0.05, 4, 0.05, 0, 0.05, 85),
    "fair": Quality(170, 2.5, 0.10, 10, 0.20, 1, 0.20, 60),
    "poor": Quality(120, 5.0, 0.20, 22, 0.35, 6, 0.40, 30),
}


def degrade(page: Image, dpi: int, quality: Quality, draw: np.random.Generator) -> Image:
    """Return a page as a scan of some quality.

    Args:
        page: clean page.
        dpi: resolution of the clean page.
        quality: limits of the defects.
        draw: source of chance.
    """
    cv2 = need("cv2")
    scale = quality.dpi / dpi
    small = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rows, columns = small.shape
    angle = draw.uniform(-1, 1) * quality.degrees
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, draw.uniform(0.965, 0.985))
    turn[:, 2] += draw.uniform(-0.004, 0.004, 2) * columns
    paper = 255 - int(draw.uniform(0, 20))
    image = cv2.warpAffine(
        small, turn, (columns, rows), flags=cv2.INTER_LINEAR, borderValue=paper
    ).astype(np.float32)
    sigma = draw.uniform(0.5, 1) * quality.blur_mm * quality.dpi / 25.4
    image = cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1))
    image = 255 - (255 - image) * (1 - draw.uniform(0, quality.contrast))
    across = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    slope = draw.uniform(-1, 1, 2)
    shade = slope[0] * across + slope[1] * down
    shade = (shade - shade.min()) / max(float(np.ptp(shade)), 1e-6)
    image *= 1 - draw.uniform(0.3, 1) * quality.shade * shade
    for row in draw.integers(0, rows, draw.integers(0, quality.fax_lines + 1)):
        image[row] = draw.choice([0.0, 255.0])
    image += draw.normal(0, draw.uniform(0.5, 1) * quality.noise, image.shape)
    grey = np.clip(image, 0, 255).astype(np.uint8)
    done, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality.jpeg])
    assert done  # noqa: S101 - an image in memory can always be packed
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
