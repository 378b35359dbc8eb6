"""Parse the records of an outcomes file, and check each record by itself."""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import KEY, Contract
from loan_scoring.ingest.files.table import SourceTable
from loan_scoring.ingest.parsing.columns import parse_column
from loan_scoring.ingest.quarantine import postgres_array, storable_text
from loan_scoring.ingest.row_rules import any_of

OBSERVED_ON = "observed_on"
"""The optional column with the date of each outcome. A file of `history` has no such column."""


def parse_outcomes(contract: Contract, table: SourceTable) -> Iterator[pa.Table]:
    """Yield a table of typed records for each block, malformed records included.

    Column `rules` has the rules that a record breaks by itself. Rules that compare the record with
    other records or with known loans are checked later, in SQL.
    """
    for block in table:
        loan_id, broken = parse_column(contract.key, block)
        unreadable = any_of([mask for _, mask in broken], len(loan_id))
        is_null = loan_id.is_null().to_numpy(zero_copy_only=False)
        broken.append((f"null_key:{KEY}", is_null & ~unreadable))
        labels = pc.utf8_trim_whitespace(
            block.table.column(contract.target.source).combine_chunks()
        )
        positive = pc.is_in(labels, value_set=pa.array(contract.target.positive))
        negative = pc.is_in(labels, value_set=pa.array(contract.target.negative))
        known = pc.or_(positive, negative)
        unknown = ~known.to_numpy(zero_copy_only=False)
        broken.append((f"unknown_level:{contract.target.source}", unknown))
        observed_on, wrong = _dates(block.table)
        broken.append((f"not_a_date:{OBSERVED_ON}", wrong))
        rows, malformed = range(block.table.num_rows), block.malformed
        yield pa.table(
            {
                "line_number": [*block.line_numbers.tolist(), *(m.line_number for m in malformed)],
                "raw_text": [
                    *(storable_text(block.raw_text(row)) for row in rows),
                    *(storable_text(m.raw_text) for m in malformed),
                ],
                "rules": [
                    *(postgres_array([rule for rule, mask in broken if mask[row]]) for row in rows),
                    *(postgres_array([m.reason]) for m in malformed),
                ],
                KEY: _padded(loan_id, len(malformed)),
                "is_default": _padded(
                    pc.if_else(known, positive, pa.scalar(None, pa.bool_())), len(malformed)
                ),
                OBSERVED_ON: _padded(observed_on, len(malformed)),
            }
        )


def _padded(values: pa.Array, nulls: int) -> pa.Array:
    return pa.concat_arrays([values, pa.nulls(nulls, values.type)])


def _dates(table: pa.Table) -> tuple[pa.Array, np.ndarray]:
    """Return column `observed_on` as dates, and a mask of the rows that are not a date.

    Dates that cannot be read are null. If the table has no such column, all dates are null and the
    mask marks no row.
    """
    if OBSERVED_ON not in table.column_names:
        return pa.nulls(table.num_rows, pa.date32()), np.zeros(table.num_rows, dtype=bool)
    values: list[date | None] = []
    wrong = np.zeros(table.num_rows, dtype=bool)
    for row, text in enumerate(table.column(OBSERVED_ON).to_pylist()):
        try:
            values.append(date.fromisoformat(text.strip()))
        except ValueError:
            values.append(None)
            wrong[row] = True
    return pa.array(values, pa.date32()), wrong
