"""Draw applications with which forms are filled in: of real loans where there are any."""

from collections.abc import Sequence

import numpy as np

from loan_scoring.contract import Contract
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.ingest.files.table import open_table
from loan_scoring.lab.source import resolve_source
from loan_scoring.lab.synthetic import generate_loans

LEAST_GENERATED = 1000
"""Of fewer loans the generator cannot find the weights of its model."""


def draw_rows(
    contract: Contract, names: Sequence[str], rows: int, seed: int
) -> tuple[list[dict[str, str]], bool]:
    """Return the texts of some applications by column, and whether they are real.

    Args:
        contract: contract of the portfolio.
        names: columns of the form, each with one source.
        rows: number of applications.
        seed: start of the random numbers, with which they are drawn from the file's first block.
    """
    location = resolve_source(contract, None)
    if location is None:
        table = generate_loans(contract, max(rows, LEAST_GENERATED), seed).slice(0, rows)
    else:
        wanted, optional = split_columns_of_file(contract, "history")
        with open_table(location, wanted, file_format=contract.source, optional=optional) as opened:
            table = next(iter(opened)).table
        # The first rows are the same ones, however many are drawn.
        table = table.take(np.random.default_rng(seed).permutation(table.num_rows)[:rows])
    by_name = {name: contract.by_name[name].sources[0] for name in names}
    found = [
        {name: row.get(source) or "" for name, source in by_name.items()}
        for row in table.to_pylist()
    ]
    return found, location is not None
