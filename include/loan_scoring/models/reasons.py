"""Why an application is reviewed or declined: what pushed its probability up most, in words."""

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.models.encoding import Columns

REASONS = ("reason_1", "reason_2", "reason_3", "reason_4")


def top_reasons(
    contract: Contract, features: list[str], contributions: np.ndarray, columns: Columns
) -> dict[str, pa.Array]:
    """Return the largest pushes up of each row, the largest first, as the contract's labels.

    A value that is not there is told as missing. Where fewer inputs push up, the last are null.

    Args:
        contract: the labels.
        features: the columns that the model reads.
        contributions: what each adds to each row's log-odds, shape (rows, features).
        columns: the same rows' values.
    """
    labels = [contract.by_name[name].label for name in features]
    words = pa.array([*labels, *(f"{label} is missing" for label in labels)], pa.string())
    order = np.argsort(-contributions, axis=1, kind="stable")[:, : len(REASONS)]
    pushes = np.take_along_axis(contributions, order, axis=1)
    is_null = np.column_stack([columns.is_null(name) for name in features])
    place = order + len(features) * np.take_along_axis(is_null, order, axis=1)
    told = {}
    for nth, name in enumerate(REASONS):
        if nth < order.shape[1]:
            told[name] = words.take(pa.array(place[:, nth], mask=pushes[:, nth] <= 0))
        else:  # a model of fewer inputs than there are reasons
            told[name] = pa.nulls(len(order), pa.string())
    return told
