"""Read the text in the boxes of a straight page, twice, with the confidence of its worst sign.

The recogniser is PP-OCRv4, whose weights come in the package rapidocr-onnxruntime. It reads a box
as scanned, and again sharper and smaller. What the two readings do not share is doubtful.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loan_scoring.scans.degrade import Image
from loan_scoring.scans.layout import Box
from loan_scoring.scans.levels import ALIKE, SEPARATORS
from loan_scoring.scans.packages import need
from loan_scoring.scans.straighten import PX

INSET_MM = 0.7
"""Part of a box along its border that is not read, because the line is there."""
INK, PALE, FAINT = 150, 205, 225
"""Brightness below which a pixel is of a sign, of a thin sign, or of something that may be one."""
ASIDE, ABOVE = round(0.55 * PX), round(0.6 * PX)
"""Margin of a text. With a wider one the recogniser loses narrow signs."""
LEAST_INK_MM2 = 0.12
"""A smaller spot is dust; a decimal point of 12 points has 0.2 square millimetres."""
HEIGHT = 48
"""Rows of the recogniser's input."""
BATCH = 8
HIDDEN = 0.2
"""A sign that is less likely than this at a step without a sign is none."""


@dataclass(frozen=True)
class Reading:
    """What stands in a box. `confidence` is that of the worst sign in the worse reading.

    `text` is empty if the box has no ink, and `second` is what the second reading says.
    `is_cut_off` says that the writing or a line reaches beyond the box.
    """

    text: str
    second: str
    confidence: float
    has_ink: bool
    is_cut_off: bool

    @property
    def is_same(self) -> bool:
        """Whether both readings agree. Blanks do not count."""
        return "".join(self.text.split()) == "".join(self.second.split())


def read_boxes(page: Image, boxes: Sequence[Box]) -> list[Reading]:
    """Return the readings of the boxes of a straight page, in order."""
    crops = [_text_part(crop_box(page, box)) for box in boxes]
    inked = [crop for crop, _ in crops if crop is not None]
    first = _recognise([_first_look(crop) for crop in inked])
    second = _recognise([_second_look(crop) for crop in inked])
    found = iter(zip(first, second, strict=True))
    readings = []
    for crop, is_cut_off in crops:
        if crop is None:
            readings.append(Reading("", "", 1.0, has_ink=False, is_cut_off=False))
            continue
        (text, chance), (again, other) = next(found)
        readings.append(Reading(text, again, min(chance, other), True, is_cut_off))
    return readings


def crop_box(page: Image, box: Box, margin_mm: float = -INSET_MM) -> Image:
    """Return the part of a straight page inside a box, with a margin around it."""
    left, top = box.left - margin_mm, box.top - margin_mm
    right, bottom = box.left + box.width + margin_mm, box.top + box.height + margin_mm
    return page[
        max(round(top * PX), 0) : round(bottom * PX), max(round(left * PX), 0) : round(right * PX)
    ]


def _text_part(crop: Image) -> tuple[Image | None, bool]:
    """Return the part of a box with ink, and whether ink reaches beyond the box.

    None means that the box is empty. A box with a line, or with something too faint to be a sign,
    is not empty: signs that a line crosses are one spot with it, and could be taken for nothing.
    """
    if not _spots(crop, 2.0, FAINT):
        return None, False
    # A thin sign at either end breaks into pieces that are paler and smaller, and is still a sign.
    spots = _spots(crop, 1.0, INK) + _spots(crop, 1.2, PALE, LEAST_INK_MM2 / 2)
    has_line = any(width > 0.5 * crop.shape[1] for _, _, width, _ in spots)
    if not spots or has_line:
        return crop, has_line
    lefts, tops, widths, heights = np.array(spots).T
    right, bottom = int((lefts + widths).max()), int((tops + heights).max())
    is_cut_off = int(lefts.min()) <= 1 or right >= crop.shape[1] - 1
    part = crop[
        max(int(tops.min()) - ABOVE, 0) : bottom + ABOVE,
        max(int(lefts.min()) - ASIDE, 0) : right + ASIDE,
    ]
    return part, is_cut_off


def _spots(
    crop: Image, blur: float, darkness: int, least_mm2: float = LEAST_INK_MM2
) -> list[tuple[int, int, int, int]]:
    """Return left, top, width and height of each dark spot that is no dust."""
    cv2 = need("cv2")
    dark = (cv2.GaussianBlur(crop, (0, 0), blur) < darkness).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    return [
        (left, top, width, height)
        for left, top, width, height, area in stats[1:].tolist()
        if area >= least_mm2 * PX * PX
    ]


def _first_look(crop: Image) -> Image:
    return _framed(crop, 3, 4)


def _second_look(crop: Image) -> Image:
    """Return a text with sharper edges, and smaller within its frame."""
    cv2 = need("cv2")
    soft = cv2.GaussianBlur(crop, (0, 0), 1.5)
    return _framed(cv2.addWeighted(crop, 1.8, soft, -0.8, 0), 6, 3)


def _framed(crop: Image, above: int, aside: int) -> Image:
    return np.pad(crop, ((above, above), (aside, aside)), constant_values=255)


@cache
def _recogniser() -> Any:
    """Return the recogniser. It loads in half a second, once for each process."""
    package = need("rapidocr_onnxruntime")
    recogniser = need("rapidocr_onnxruntime.ch_ppocr_rec.text_recognize")
    model = Path(package.__file__).parent / "models" / "ch_PP-OCRv4_rec_infer.onnx"
    # One thread: tasks share the processor, and figures do not depend on the number of threads.
    return recogniser.TextRecognizer(
        {
            "model_path": str(model),
            "use_cuda": False,
            "use_dml": False,
            "intra_op_num_threads": 1,
            "inter_op_num_threads": 1,
            "rec_img_shape": [3, HEIGHT, 320],
            "rec_batch_num": BATCH,
        }
    )


def _recognise(images: Sequence[Image]) -> list[tuple[str, float]]:
    """Return text and confidence of each image of one line."""
    found: list[tuple[str, float]] = [("", 0.0)] * len(images)
    order = sorted(range(len(images)), key=lambda place: _ratio(images[place]))
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        widest = max(_ratio(images[places[-1]]), 2.0)
        recogniser = _recogniser()
        batch = np.stack(
            [
                recogniser.resize_norm_img(np.repeat(images[p][:, :, None], 3, axis=2), widest)
                for p in places
            ]
        ).astype(np.float32)
        chances = recogniser.session(batch)[0]
        signs = recogniser.postprocess_op.character
        for place, each in zip(places, chances, strict=True):
            found[place] = _decoded(each, signs)
    return found


def _ratio(image: Image) -> float:
    return float(image.shape[1] / image.shape[0])


def _decoded(chances: NDArray[np.float32], signs: Sequence[str]) -> tuple[str, float]:
    """Return the best text of a CTC output, and the least probability of its signs.

    Signs that look alike count as one here, because rules tell them apart: no digit looks like
    another one. Blanks between words do not count. A step without a sign counts if a sign is likely
    there: the text may lack it.
    """
    groups = _groups(tuple(signs))
    blank = len(signs) - 1
    text, worst, before = [], 1.0, 0
    folded = chances.copy()
    for place in np.flatnonzero(groups != np.arange(len(groups))):
        folded[:, groups[place]] += chances[:, place]
        folded[:, place] = 0
    best = chances.argmax(axis=1)
    alike = groups[best]
    inked = folded.copy()
    inked[:, [0, blank]] = 0
    likely = inked.argmax(axis=1)
    ends = [0, *alike.tolist(), 0]
    runs: list[float] = []
    for step, sign in enumerate(best.tolist()):
        if sign in (0, blank):
            if sign == blank != before:
                text.append(" ")
            hidden = float(inked[step, likely[step]])
            # At the edge of a sign the same sign is likely again; that hides nothing.
            if likely[step] not in (ends[step], ends[step + 2]) and hidden > HIDDEN:
                worst = min(worst, 1 - hidden)
        elif sign != before:
            text.append(signs[sign])
            runs.append(float(folded[step, alike[step]]))
        else:
            runs[-1] = max(runs[-1], float(folded[step, alike[step]]))
        before = sign
    return as_ordinary("".join(text).strip()), min([worst, *runs]) if runs else 0.0


def as_ordinary(text: str) -> str:
    """Return a text with ordinary signs in the place of full-width ones.

    >>> as_ordinary("3\uff16\uff10")
    '360'
    """
    return unicodedata.normalize("NFKC", text)


@cache
def _groups(signs: tuple[str, ...]) -> NDArray[np.intp]:
    """Return for each sign the place of the first sign that looks like it."""
    places = {sign: place for place, sign in enumerate(signs)}
    first = {sign: group[0] for group in ALIKE if group not in SEPARATORS for sign in group}
    found = np.arange(len(signs))
    for sign, place in places.items():
        plain = as_ordinary(sign)
        if place not in (0, len(signs) - 1):
            found[place] = places.get(first.get(plain, plain), place)
    return found
