"""Read numeric columns as floats that every algorithm can take."""

import numpy as np
import pyarrow as pa

LARGEST = 1e30
"""The largest absolute value. A value beyond LARGEST is read as LARGEST with the value's sign.

XGBoost and random forests store numbers in 32 bits, which end at 3.4e38, and refuse larger ones.
Without this limit, one odd cell would end a training or the scoring of a batch.
"""


def as_floats(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the values of a numeric column as float64, shape (rows,). A null becomes nan.

    An integer above 2^53 is rounded to the nearest float.
    """
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(np.clip(numbers, -LARGEST, LARGEST))
