"""Write the outcomes of a replayed night as the contract says that files of outcomes look."""

from datetime import date
from pathlib import Path

import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.errors import LoanScoringError
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.keys import joined_keys, key_columns, key_text
from loan_scoring.ingest.outcome_rows import outcome_columns


def made_keys(contract: Contract, applications: Path) -> pa.ChunkedArray:
    """Return the keys that ingest makes from the rows of a landed file, in the order of the rows.

    Args:
        contract: contract whose key is made from rows.
        applications: a whole file of applications, as `replay` wrote it.
    """
    with open_table(applications, contract.sources, file_format=contract.source) as table:
        keys = [key_text(contract.key, block) for block in table]
    return pa.chunked_array(keys, pa.string())


def outcome_file(contract: Contract, labels: pa.Table, observed_on: str) -> pa.Table:
    """Return a file of outcomes as text columns.

    If the contract declares recovered amounts, they are blank, because labels do not have them.

    Args:
        contract: contract with the names of the columns and the format of the date.
        labels: key and state of each loan; the key may have several columns.
        observed_on: date of the outcomes, YYYY-MM-DD.
    """
    columns = outcome_columns(contract, is_history=False)
    day = observed_on
    for each in columns.observed_on.formats[:1]:
        day = date.fromisoformat(observed_on).strftime(each)
    *keys, states = [each.combine_chunks() for each in labels.columns]
    names = [*key_columns(columns.key)]
    if len(names) == 1 < len(keys):
        keys = [joined_keys(columns.key, keys)]
    if len(names) != len(keys):
        raise LoanScoringError(
            f"{contract.portfolio}: outcomes.key has {len(names)} columns and the key {len(keys)}: "
            "replay cannot write such files of outcomes"
        )
    names += [columns.target, columns.observed_on.source]
    values = [*keys, states, pa.array([day] * labels.num_rows, pa.string())]
    if columns.recovered is not None:
        names.append(columns.recovered.source)
        values.append(pa.array([""] * labels.num_rows, pa.string()))
    return pa.table(values, names=names)
