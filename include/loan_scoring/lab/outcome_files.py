"""Write the outcomes of a replayed night as the contract says that files of outcomes look."""

from datetime import date

import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.ingest.outcome_rows import outcome_columns


def outcome_file(contract: Contract, labels: pa.Table, observed_on: str) -> pa.Table:
    """Return a file of outcomes as text columns.

    If the contract declares recovered amounts, they are blank, because labels do not have them.

    Args:
        contract: contract with the names of the columns and the format of the date.
        labels: key and state of each loan, in two columns.
        observed_on: date of the outcomes, YYYY-MM-DD.
    """
    columns = outcome_columns(contract, is_history=False)
    day = observed_on
    for each in columns.observed_on.formats[:1]:
        day = date.fromisoformat(observed_on).strftime(each)
    names = [columns.key.source, columns.target, columns.observed_on.source]
    values = [*labels.columns, pa.array([day] * labels.num_rows, pa.string())]
    if columns.recovered is not None:
        names.append(columns.recovered.source)
        values.append(pa.array([""] * labels.num_rows, pa.string()))
    return pa.table(values, names=names)
