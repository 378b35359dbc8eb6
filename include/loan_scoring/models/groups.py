"""Name the group of each applicant by a column: a level, a band, or yes and no."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.contract.protected import YES_NO, band_names
from loan_scoring.models.numbers import as_floats


def group_names(
    contract: Contract, attribute: str, values: pa.Array | pa.ChunkedArray
) -> list[str | None]:
    """Return the group of each value of a protected column. A null has no group.

    A number that equals the begin of a band is in that band.

    Args:
        contract: contract with the bands.
        attribute: name of the column.
        values: values of the column.
    """
    return names_by_bands(contract.bands.get(attribute), values)


def names_by_bands(
    bands: list[float] | None, values: pa.Array | pa.ChunkedArray
) -> list[str | None]:
    """Return the group of each value of a column: its band, or yes and no, or its level.

    Args:
        bands: values at which the bands of a number begin.
        values: values of the column.
    """
    if bands:
        numbers = as_floats(values)
        names = np.array(band_names(bands), dtype=object)
        found = names[np.searchsorted(bands, numbers, side="right")]
        found[np.isnan(numbers)] = None
        return list(found)
    if pa.types.is_boolean(values.type):
        values = pc.if_else(values, *YES_NO)
    return list(values.to_pylist())
