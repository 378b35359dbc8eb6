"""Read the text in the boxes of a straight page, twice, with the confidence of its worst sign.

The recogniser is PP-OCRv4, whose weights come in the package rapidocr-onnxruntime. It reads a box as
printed and again stretched and in black and white; what the two readings do not share is doubtful.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loan_scoring.scans.degrade import Image
from loan_scoring.scans.layout import Box
from loan_scoring.scans.packages import need
from loan_scoring.scans.straighten import PX

INSET_MM = 0.7
"""Part of a box along its border that is not read, because the line is there."""
INK = 150
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
    first = _recognise([_padded(crop) for crop in inked])
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
    """Return the part of a box with ink, and whether ink touches the left or right border.

    None means that the box is empty.
    """
    cv2 = need("cv2")
    dark = (cv2.GaussianBlur(crop, (0, 0), 0.8) < INK).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    spots = [
        stats[place]
        for place in range(1, count)
        if stats[place][cv2.CC_STAT_AREA] >= LEAST_INK_MM2 * PX * PX
        # A line of a fax, or the border of a box that was not cut off.
        and not (stats[place][cv2.CC_STAT_WIDTH] > 0.5 * crop.shape[1])
    ]
    if not spots:
        return (crop, False) if dark.mean() > 0.01 else (None, False)
    lefts = [each[cv2.CC_STAT_LEFT] for each in spots]
    rights = [each[cv2.CC_STAT_LEFT] + each[cv2.CC_STAT_WIDTH] for each in spots]
    tops = [each[cv2.CC_STAT_TOP] for each in spots]
    bottoms = [each[cv2.CC_STAT_TOP] + each[cv2.CC_STAT_HEIGHT] for each in spots]
    is_cut_off = min(lefts) <= 1 or max(rights) >= crop.shape[1] - 1
    aside, above = round(1.2 * PX), round(0.6 * PX)
    # Small signs beside the spots, such as a faint point, stay inside the margin.
    part = crop[
        max(min(tops) - above, 0) : max(bottoms) + above,
        max(min(lefts) - aside, 0) : max(rights) + aside,
    ]
    return part, is_cut_off


def _padded(crop: Image) -> Image:
    return np.pad(crop, ((3, 3), (4, 4)), constant_values=255)


def _second_look(crop: Image) -> Image:
    cv2 = need("cv2")
    rows, columns = crop.shape
    wide = cv2.resize(crop, (round(columns * 2.3), rows * 2), interpolation=cv2.INTER_CUBIC)
    _, clean = cv2.threshold(
        cv2.GaussianBlur(wide, (0, 0), 1.2), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    return np.pad(cv2.GaussianBlur(clean, (0, 0), 0.8), ((10, 6), (14, 10)), constant_values=255)


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
    return image.shape[1] / image.shape[0]


def _decoded(chances: NDArray[np.float32], signs: Sequence[str]) -> tuple[str, float]:
    """Return the best text of a CTC output, and the least probability of its signs.

    Full-width signs count as the ordinary ones. Blanks between words do not count. A step without
    a sign counts if a sign is nearly as likely there: the text may lack it.
    """
    chances, blank = chances.copy(), len(signs) - 1
    for wide, plain in _widths(tuple(signs)):
        chances[:, plain] += chances[:, wide]
        chances[:, wide] = 0
    text, worst, before = [], 1.0, 0
    best = chances.argmax(axis=1)
    tops = chances.max(axis=1)
    chances[:, [0, blank]] = 0
    likely = chances.argmax(axis=1)
    ends = [0, *best.tolist(), 0]
    runs: list[float] = []
    for step, sign in enumerate(best.tolist()):
        if sign in (0, blank):
            if sign == blank != before:
                text.append(" ")
            hidden = float(chances[step, likely[step]])
            # At the edge of a sign the same sign is likely again; that hides nothing.
            if likely[step] not in (ends[step], ends[step + 2]) and hidden > HIDDEN:
                worst = min(worst, 1 - hidden)
        elif sign != before:
            text.append(signs[sign])
            runs.append(float(tops[step]))
        else:
            runs[-1] = max(runs[-1], float(tops[step]))
        before = sign
    return "".join(text).strip(), min([worst, *runs]) if runs else 0.0


@cache
def _widths(signs: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the places of full-width signs, each with that of the ordinary one."""
    places = {sign: place for place, sign in enumerate(signs)}
    return [
        (places[chr(code + 0xFEE0)], places[chr(code)])
        for code in range(0x21, 0x7F)
        if chr(code + 0xFEE0) in places and chr(code) in places
    ]
