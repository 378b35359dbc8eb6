"""Read text as booleans, levels and UUIDs."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Column
from loan_scoring.ingest.parsing.numbers import as_mask

UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def parse_booleans(column: Column, text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return text as booleans, and a mask of the texts that are neither true nor false.

    If the column declares no texts, true and false are read in any letter case.
    """
    is_case_ignored = column.ignore_case or column.is_true is None
    true, false = (pa.array(each, pa.string()) for each in column.texts)
    if is_case_ignored:
        text, true, false = (pc.utf8_lower(each) for each in (text, true, false))
    is_true, is_false = (pc.is_in(text, value_set=each) for each in (true, false))
    known = pc.or_(is_true, is_false)
    found = pc.if_else(known, is_true, pa.scalar(None, pa.bool_()))
    return found, ~as_mask(known) & as_mask(text.is_valid())


def parse_levels(column: Column, text: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    """Return the levels of a category, and a mask of the unknown ones, or None if all are valid.

    If letter case is ignored, a listed level becomes as the contract writes it, and any other level
    becomes lower case.
    """
    listed = pa.array(column.listed_levels, pa.string())
    if column.ignore_case:
        lower = pc.utf8_lower(text)
        place = pc.index_in(lower, value_set=pc.utf8_lower(listed))
        text = pc.coalesce(listed.take(place), lower)
    if column.is_open:
        return text, None
    unknown = ~as_mask(pc.is_in(text, value_set=listed)) & as_mask(text.is_valid())
    return text, unknown if unknown.any() else None


def parse_uuids(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return UUIDs in lower case, as Postgres writes them, and a mask of the other texts.

    The other texts become null.
    """
    text = pc.ascii_lower(text)
    is_uuid = pc.match_substring_regex(text, UUID).fill_null(True)
    return pc.if_else(is_uuid, text, pa.scalar(None, pa.string())), ~as_mask(is_uuid)
