"""Drift to order on typed columns: what a calibration asks the decision to find."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit, logit

from loan_scoring.statistics.distribution import Distribution

CORRELATION = "correlation"
"""The name of the joint shift: values of a column dealt out again."""
NEW_LEVEL = "a level never seen"
Lay = Callable[[pa.ChunkedArray, pa.ChunkedArray, float, np.random.Generator], pa.ChunkedArray]
"""Takes a column of the batch and of the baseline, and a size; returns the batch's, drifted."""


@dataclass(frozen=True)
class Shift:
    """A kind of drift: what it does to a column, and how much of it is laid on.

    `sizes` are what power is measured at; `asked` is the one that DESIGN section 8 names, None
    for a kind that it does not name.
    """

    name: str
    label: str
    """What a size means, with {} for it; a share is told in percent."""
    lay: Lay
    sizes: tuple[float, ...]
    asked: float | None
    takes: str
    """`number`, `category`, `any` or `score`: the columns that it can be laid on."""
    is_share: bool = False

    def told(self, size: float) -> str:
        """Return a size of the shift in words."""
        return self.label.format(100 * size if self.is_share else size)


def eligible_columns(shift: Shift, table: pa.Table, outputs: tuple[str, ...]) -> list[str]:
    """Return the columns that a shift can be laid on: those that vary, of its type."""
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


def _moved(
    values: pa.ChunkedArray, known: pa.ChunkedArray, size: float, _: np.random.Generator
) -> pa.ChunkedArray:
    """Add so many standard deviations of the baseline."""
    return pc.add(_floats(values), size * pc.stddev(known).as_py())


def _spread(
    values: pa.ChunkedArray, known: pa.ChunkedArray, factor: float, _: np.random.Generator
) -> pa.ChunkedArray:
    """Stretch around the mean of the baseline."""
    mean = pc.mean(known).as_py()
    return pc.add(pc.multiply(pc.subtract(_floats(values), mean), factor), mean)


def _blanked(
    values: pa.ChunkedArray, _: pa.ChunkedArray, share: float, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Make a share of all rows null that were not."""
    return _set(values, np.flatnonzero(_valid(values)), share, None, rng)


def _level_moved(
    values: pa.ChunkedArray, known: pa.ChunkedArray, share: float, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Give a share of all rows, of those at the baseline's most frequent level, its second."""
    counted = sorted(known.drop_null().value_counts().to_pylist(), key=lambda each: -each["counts"])
    most, second = (each["values"] for each in counted[:2])
    places = np.flatnonzero(pc.equal(values, most).fill_null(False).to_numpy())
    return _set(values, places, share, second, rng)


def _new_level(
    values: pa.ChunkedArray, _: pa.ChunkedArray, share: float, rng: np.random.Generator
) -> pa.ChunkedArray:
    """Give a share of all rows a level that no loan has."""
    return _set(values, np.arange(len(values)), share, NEW_LEVEL, rng)


def _log_odds_moved(
    values: pa.ChunkedArray, _: pa.ChunkedArray, size: float, __: np.random.Generator
) -> pa.ChunkedArray:
    """Add to the log-odds of probabilities."""
    numbers = values.to_numpy()
    return pa.chunked_array([pa.array(expit(logit(numbers) + size), from_pandas=True)])


def permute_column(table: pa.Table, name: str, rng: np.random.Generator) -> pa.Table:
    """Deal the values of a column out again: its margin stays, what it hangs together with not."""
    dealt = table.column(name).take(pa.array(rng.permutation(table.num_rows)))
    return table.set_column(table.column_names.index(name), name, dealt)


def correlated_pairs(table: pa.Table, names: list[str]) -> list[tuple[str, str, float]]:
    """Return pairs of numbers with their rank correlation over rows that have both, strongest
    first."""
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
        _moved,
        (0.05, 0.1, 0.15, 0.2, 0.3),
        0.2,
        "number",
    ),
    Shift("spread", "spread x {:g}", _spread, (1.05, 1.1, 1.15, 1.25, 1.4), 1.25, "number"),
    Shift(
        "share",
        "{:g} points of the loans at another level",
        _level_moved,
        (0.02, 0.03, 0.04, 0.05, 0.08),
        0.05,
        "category",
        is_share=True,
    ),
    Shift(
        "new_level",
        "{:g} % of the loans at a new level",
        _new_level,
        (0.002, 0.005, 0.0075, 0.01, 0.02),
        0.01,
        "category",
        is_share=True,
    ),
    Shift(
        "nulls",
        "{:g} points more nulls",
        _blanked,
        (0.01, 0.02, 0.03, 0.05, 0.1),
        0.03,
        "any",
        is_share=True,
    ),
    Shift(
        "scores",
        "scores + {:g} in log-odds",
        _log_odds_moved,
        (0.05, 0.1, 0.15, 0.2, 0.3),
        None,
        "score",
    ),
)
"""Those of one column; the joint one, a correlation broken, is `permuted`."""
