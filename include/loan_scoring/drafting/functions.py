"""Find columns that can be computed from a column that is known only later."""

import numpy as np

from loan_scoring.drafting.values import Values

MOST_VALUES = 7
"""Columns with at most so many values are looked at."""
LEAST_REPEATED = 0.9
"""Share of rows whose later value occurs more than once; others prove nothing."""


def is_function_of(values: Values, later: Values) -> bool:
    """Return whether each value of a later column goes with one value of a column with few values.

    >>> import pyarrow as pa
    >>> from loan_scoring.drafting.values import count_values
    >>> term = count_values(pa.array(["240", "84", "240", "84"]))
    >>> is_function_of(count_values(pa.array(list("1010"))), term)
    True
    """
    distinct = len(values.texts)
    if not 2 <= distinct <= MOST_VALUES or len(later.texts) <= 1:
        return False
    _, counts = np.unique(later.codes, return_counts=True)
    if counts[counts > 1].sum() < LEAST_REPEATED * len(later.codes):
        return False
    pairs = (later.codes + 1) * (distinct + 1) + values.codes + 1
    return len(np.unique(pairs)) == len(counts)
