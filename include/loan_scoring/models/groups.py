"""Name the group of each applicant by a column: a level, a band, or yes and no."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.contract.protected import YES_NO, band_names
from loan_scoring.models.numbers import as_floats
from loan_scoring.statistics.fairness import NOT_STATED
from loan_scoring.statistics.labels import Labels


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
    return list(_groups(contract.bands.get(attribute), values).to_pylist())


def labels_by_bands(bands: list[float] | None, values: pa.Array | pa.ChunkedArray) -> Labels:
    """Return the group of each value of a column: its band, or yes and no, or its level.

    A null gets NOT_STATED.

    Args:
        bands: values at which the bands of a number begin.
        values: values of the column.
    """
    return labels(_groups(bands, values))


def group_labels(contract: Contract, attribute: str, values: pa.Array | pa.ChunkedArray) -> Labels:
    """Return the group of each value, as `group_names` does, with NOT_STATED for a null."""
    return labels_by_bands(contract.bands.get(attribute), values)


def labels(values: pa.Array | pa.ChunkedArray) -> Labels:
    """Return a column of texts as labels, with NOT_STATED for a null."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if isinstance(values, pa.ChunkedArray):
        values = values.unify_dictionaries().combine_chunks()
    names = values.dictionary.to_pylist()
    if values.null_count and NOT_STATED not in names:
        names.append(NOT_STATED)
    codes = values.indices
    if values.null_count:
        codes = codes.fill_null(names.index(NOT_STATED))
    return Labels(names, codes.to_numpy())


def _groups(
    bands: list[float] | None, values: pa.Array | pa.ChunkedArray
) -> pa.Array | pa.ChunkedArray:
    if bands:
        numbers = as_floats(values)
        codes = np.searchsorted(bands, numbers, side="right").astype(np.int32)
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=np.isnan(numbers)), band_names(bands)
        )
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, *YES_NO)
    return values
