"""Define the shifts that a calibration applies to the columns of a batch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit, logit

from loan_scoring.statistics.distribution import Distribution

CORRELATION = "correlation"
"""Name of the shift that breaks correlations: the values of one column are permuted."""
NEW_LEVEL = "a level never seen"
Apply = Callable[[pa.ChunkedArray, pa.ChunkedArray, float, np.random.Generator], pa.ChunkedArray]
"""A function that returns the shifted column.

The arguments are a column of the batch, the same column of the baseline, the size of the shift, and
a random generator.
"""


@dataclass(frozen=True)
class Shift:
    """A kind of change to one column, with the sizes in which a calibration applies the change."""

    name: str
    label: str
    """Format string with a placeholder for the size. A size that is a share is shown in percent."""
    apply: Apply
    sizes: tuple[float, ...]
    required: float | None
    """Size at which the power must reach MIN_POWER, or None if no power is required."""
    takes: str
    """The type of columns to which the shift applies: `number`, `category`, `any` or `score`."""
    is_share: bool = False

    def describe(self, size: float) -> str:
        """Return a description of the shift with a given size."""
        return self.label.format(100 * size if self.is_share else size)


def eligible_columns(shift: Shift, table: pa.Table, outputs: tuple[str, ...]) -> list[str]:
    """Return the names of the columns to which a shift can be applied.

    A column must have the type `shift.takes`. Constant columns are left out, unless `shift.takes`
    is `any` or `score`.

    Args:
        shift: shift to apply.
        table: table of the baseline's loans.
        outputs: names of the columns of `table` that are predictions and not inputs.
    """
    if shift.takes == "score":
        return [name for name in outputs if _is_number(table, name)]
    return [
        name
        for name in table.column_names
        if name not in outputs
        and (shift.takes == "any" or _is_number(table, name) == (shift.takes == "number"))
        and (shift.takes == "any" or len(table.column(name).drop_null().unique()) > 1)
    ]


def _is_number(table: pa.Table, name: str) -> bool:
    return not pa.types.is_string(table.schema.field(name).type)


def _add_deviations(
    values: pa.ChunkedArray, baseline: pa.ChunkedArray, size: float, _: np.random.Generator
) -> pa.ChunkedArray:
    """Add to each value `size` times the baseline's standard deviation."""
    return pc.add(_floats(values), size * pc.stddev(baseline).as_py())


def _stretch(
    values: pa.ChunkedArray, baseline: pa.ChunkedArray, factor: float, _: np.random.Generator
) -> pa.ChunkedArray:
    """Multiply each value's distance from the baseline's mean by `factor`."""
    mean = pc.mean(baseline).as_py()
    return pc.add(pc.multiply(pc.subtract(_floats(values), mean), factor), mean)


def _make_null(
    values: pa.ChunkedArray, _: pa.ChunkedArray, share: float, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Set randomly drawn values to null.

    The number of new nulls is `share` of all rows. If fewer values are not null, all values become
    null.
    """
    return _set(values, np.flatnonzero(_valid(values)), share, None, rng)


def _move_level(
    values: pa.ChunkedArray, baseline: pa.ChunkedArray, share: float, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Move rows from the baseline's most frequent level to the second most frequent level.

    The number of changed rows is `share` of all rows. If fewer rows have the most frequent level,
    all of these rows change.
    """
    counted = sorted(
        baseline.drop_null().value_counts().to_pylist(), key=lambda each: -each["counts"]
    )
    most, second = (each["values"] for each in counted[:2])
    places = np.flatnonzero(pc.equal(values, most).fill_null(False).to_numpy())
    return _set(values, places, share, second, rng)


def _add_level(
    values: pa.ChunkedArray, _: pa.ChunkedArray, share: float, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Set a share of all rows to a level that no loan in the pool has."""
    return _set(values, np.arange(len(values)), share, NEW_LEVEL, rng)


def _add_log_odds(
    values: pa.ChunkedArray, _: pa.ChunkedArray, size: float, __: np.random.Generator
) -> pa.ChunkedArray:
    """Add `size` to the log-odds of probabilities."""
    numbers = values.to_numpy()
    return pa.chunked_array([pa.array(expit(logit(numbers) + size), from_pandas=True)])


def permute_column(table: pa.Table, name: str, rng: np.random.Generator) -> pa.Table:
    """Permute the values of a column, so that only its correlations with other columns change."""
    permuted = table.column(name).take(pa.array(rng.permutation(table.num_rows)))
    return table.set_column(table.column_names.index(name), name, permuted)


def correlated_pairs(table: pa.Table, names: list[str]) -> list[tuple[str, str, float]]:
    """Return every pair of numeric columns with the rank correlation of the pair.

    The pair with the largest absolute correlation comes first. A correlation uses only the rows in
    which neither column is null.
    """
    found = []
    for place, left in enumerate(names):
        for right in names[:place]:
            both = pc.and_(table.column(left).is_valid(), table.column(right).is_valid())
            one, other = (_ranks(table.column(name).filter(both)) for name in (right, left))
            found.append((right, left, float(np.corrcoef(one, other)[0, 1])))
    return sorted(found, key=lambda pair: -abs(pair[2]))


def _ranks(values: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers = _floats(values).to_numpy()
    known = Distribution.of(numbers)
    places = np.searchsorted(known.values, numbers)
    return np.asarray((known.up_to[places] + known.up_to[places + 1]) / 2, np.float64)


def _floats(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.float64())


def _valid(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.is_valid().to_numpy(), dtype=bool)


def _set(
    values: pa.ChunkedArray,
    places: np.ndarray,
    share: float,
    value: str | None,
    rng: np.random.Generator,
) -> pa.ChunkedArray:
    count = min(round(share * len(values)), len(places))
    mask = np.zeros(len(values), bool)
    mask[rng.choice(places, count, replace=False)] = True
    return pc.if_else(pa.array(mask), pa.scalar(value, values.type), values)


SHIFTS = (
    Shift(
        "mean",
        "mean + {:g} standard deviations",
        _add_deviations,
        (0.05, 0.1, 0.15, 0.2, 0.3),
        0.2,
        "number",
    ),
    Shift("spread", "spread x {:g}", _stretch, (1.05, 1.1, 1.15, 1.25, 1.4), 1.25, "number"),
    Shift(
        "share",
        "{:g} points of the loans at another level",
        _move_level,
        (0.02, 0.03, 0.04, 0.05, 0.08),
        0.05,
        "category",
        is_share=True,
    ),
    Shift(
        "new_level",
        "{:g} % of the loans at a new level",
        _add_level,
        (0.002, 0.005, 0.0075, 0.01, 0.02),
        0.01,
        "category",
        is_share=True,
    ),
    Shift(
        "nulls",
        "{:g} points more nulls",
        _make_null,
        (0.01, 0.02, 0.03, 0.05, 0.1),
        0.03,
        "any",
        is_share=True,
    ),
    Shift(
        "scores",
        "scores + {:g} in log-odds",
        _add_log_odds,
        (0.05, 0.1, 0.15, 0.2, 0.3),
        None,
        "score",
    ),
)
"""The shifts that change one column. `permute_column` makes the shift CORRELATION."""
