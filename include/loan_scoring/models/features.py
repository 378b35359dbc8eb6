"""Columns of applications as the matrix that scikit-learn takes."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from loan_scoring.contract import Contract


def feature_frame(table: pa.Table, contract: Contract, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns as scikit-learn takes them: numbers as float64, categories as object.

    Null is nan in both.
    """
    data = {}
    for name in columns:
        values = table.column(name)
        if contract.by_name[name].is_numeric:
            data[name] = values.cast(pa.float64()).to_numpy()
        else:
            data[name] = (
                values.to_pandas(types_mapper=None)
                .astype(object)
                .where(values.is_valid().to_pandas(), float("nan"))
            )
    return pd.DataFrame(data)
