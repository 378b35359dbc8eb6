"""Read text as dates. Each distinct text is read once."""

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import pyarrow as pa


def parse_dates(text: pa.Array, formats: Sequence[str] = ()) -> tuple[pa.Array, np.ndarray]:
    """Return text as dates, date32, and a mask of the texts that are not a date.

    Such texts become null, as null does.

    Args:
        text: trimmed texts.
        formats: formats of strptime, tried in order. If empty, ISO 8601: YYYY-MM-DD.
    """
    encoded = text.dictionary_encode()
    read = [_date(each, formats) for each in encoded.dictionary.to_pylist()]
    found = pa.array(read, pa.date32()).take(encoded.indices)
    wrong = found.is_null().to_numpy(zero_copy_only=False)
    return found, wrong & text.is_valid().to_numpy(zero_copy_only=False)


def _date(text: str, formats: Sequence[str]) -> date | None:
    for each in formats or ("%Y-%m-%d",):
        try:
            return datetime.strptime(text, each).date()
        except ValueError:
            continue
    return None
