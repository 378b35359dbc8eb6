"""Find the rows of a loan in baseline samples and training files, and take them out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loan_scoring import database, settings
from loan_scoring.contract import KEY
from loan_scoring.database.session import Session
from loan_scoring.models.baseline import PREDICTIONS


def training_files(session: Session, key: Any) -> Iterator[tuple[Path, int]]:
    """Yield each file of a planned training that holds a loan, and the number of its rows.

    The file of a training that runs can go too: the training then asks to be started again.
    """
    folder = settings.artifacts_dir(session.contract.portfolio)
    for path in sorted(folder.glob("training-*.parquet")):
        file = pq.ParquetFile(path)
        if KEY in file.schema_arrow.names:
            keys = file.read(columns=[KEY]).column(KEY)
            rows = pc.sum(pc.equal(keys, pa.scalar(key, keys.type))).as_py() or 0
            if rows:
                yield path, rows


def baseline_files(
    session: Session, applications: Sequence[database.Row]
) -> Iterator[tuple[Path, pa.Table, np.ndarray]]:
    """Yield each baseline sample with rows of a loan, its table, and a mask of these rows.

    A sample has no keys. So a row is of the loan if all its inputs are those of an application of
    the loan. The row of another applicant with the very same inputs goes too.
    """
    folder = settings.artifacts_dir(session.contract.portfolio)
    for path in sorted(folder.glob("baseline-*.parquet")):
        table = pq.read_table(path)
        mask = np.zeros(table.num_rows, bool)
        for row in applications:
            mask |= _equal_rows(table, row)
        if mask.any():
            yield path, table, mask


def _equal_rows(table: pa.Table, row: database.Row) -> np.ndarray:
    names = [name for name in table.column_names if name in row and name not in PREDICTIONS]
    mask = np.full(table.num_rows, bool(names))
    for name in names:
        column, value = table.column(name).combine_chunks(), row[name]
        if value is None:
            mask &= column.is_null().to_numpy(zero_copy_only=False)
            continue
        if pa.types.is_string(column.type):  # a boolean is a text in a sample
            value = str(value).lower() if isinstance(value, bool) else str(value)
        equal = pc.equal(column, pa.scalar(value, column.type))
        mask &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False)
    return mask
