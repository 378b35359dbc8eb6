"""Define the shifts that a calibration applies to the columns of a batch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import expit, logit

from loan_scoring.contract import Column, Contract
from loan_scoring.lab.notation import as_written
from loan_scoring.models.baseline import PREDICTIONS
from loan_scoring.models.numbers import as_floats
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
    is_alone: bool = False
    """Whether the columns of a ratio stay as they are, as after a fault in one column of a file.

    Otherwise they follow the shifted column, as with other applicants, and the ratio holds.
    """

    def describe(self, size: float) -> str:
        """Return a description of the shift with a given size."""
        return self.label.format(100 * size if self.is_share else size)


def eligible_columns(contract: Contract, shift: Shift, table: pa.Table) -> list[str]:
    """Return the names of the columns to which a shift can be applied.

    A column must have the type `shift.takes`. Constant columns are left out, unless `shift.takes`
    is `any` or `score`. So are features, which follow from the columns of the file, and calendar
    columns, which are compared with the business date. A shift of one column alone is for the
    columns of ratios, because for the others it is the same.

    Args:
        contract: contract of the portfolio.
        shift: shift to apply.
        table: table of the baseline's loans, with predictions.
    """
    if shift.takes == "score":
        outputs = [name for name in PREDICTIONS if name in table.column_names]
        return [name for name in outputs if _is_number(table, name)]
    in_ratios = {
        name for each in contract.ratios for name in (each.column, each.numerator, each.denominator)
    }
    columns = [
        each.name
        for each in contract.columns
        if each.calendar is None and (not shift.is_alone or each.name in in_ratios)
    ]
    return [
        name
        for name in columns
        if name in table.column_names
        and (shift.takes == "any" or _is_number(table, name) == (shift.takes == "number"))
        and (shift.takes == "any" or len(table.column(name).drop_null().unique()) > 1)
    ]


def shifted_text(
    contract: Contract,
    shift: Shift,
    name: str,
    size: float,
    text: pa.Table,
    loans: pa.Table,
    baseline: pa.Table,
    rng: np.random.Generator,
) -> pa.Table:
    """Return the text of a batch after a shift of one column, as a file would bring it.

    Args:
        contract: contract of the portfolio.
        shift: shift to apply.
        name: column of the file that is shifted.
        size: size of the shift.
        text: rows of the batch as text.
        loans: the same rows with their types.
        baseline: loans of the baseline.
        rng: random generator.
    """
    shifted = shift.apply(loans.column(name), baseline.column(name), size, rng)
    changed = {name: shifted}
    if not shift.is_alone:
        changed |= _following(contract, name, shifted, loans)
    for each, values in changed.items():
        column = contract.by_name[each]
        place = text.column_names.index(column.sources[0])
        old, new = loans.column(each), _rounded(column, values)
        is_same = pc.equal(old.cast(new.type), new).fill_null(False)
        is_same = pc.or_(is_same, pc.and_(old.is_null(), new.is_null()))
        written = pa.array(_texts(column, new), pa.string())
        texts = pc.if_else(is_same, text.column(place), written)
        text = text.set_column(place, column.sources[0], texts)
    return text


def _following(
    contract: Contract, name: str, shifted: pa.ChunkedArray, loans: pa.Table
) -> dict[str, pa.ChunkedArray]:
    """Return the columns that must follow a shifted column so that the contract's ratios hold."""
    found = {}
    for ratio in contract.ratios:
        if name == ratio.column and shifted.null_count == loans.column(name).null_count:
            whole = pc.multiply(_floats(shifted), _floats(loans.column(ratio.denominator)))
            numerator = pc.divide(whole, ratio.scale)
            found[ratio.numerator] = pc.coalesce(numerator, _floats(loans.column(ratio.numerator)))
        elif name in (ratio.numerator, ratio.denominator):
            top, bottom = (
                _floats(shifted if each == name else loans.column(each))
                for each in (ratio.numerator, ratio.denominator)
            )
            value = pc.divide(pc.multiply(top, ratio.scale), bottom)
            is_known = pc.and_(loans.column(ratio.column).is_valid(), pc.is_finite(value))
            found[ratio.column] = pc.if_else(is_known, value, pa.scalar(None, pa.float64()))
    return found


def _rounded(column: Column, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.round(_floats(values)) if column.type == "integer" else values


def _texts(column: Column, values: pa.ChunkedArray) -> list[str]:
    """Return values as a file of the portfolio writes them. A null becomes an empty text."""
    if not column.is_numeric:
        words = dict(zip(("true", "false"), column.texts, strict=True))
        is_flag = column.type == "boolean"
        return [
            "" if each is None else words.get(each, [each])[0] if is_flag else each
            for each in values.cast(pa.string()).to_pylist()
        ]
    plain = ["" if each != each else f"{each:.10g}" for each in as_floats(values).tolist()]
    return [each and as_written(column, each) for each in plain] if column.has_notation else plain


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
    Shift("mean", "mean + {:g} standard deviations", _add_deviations,
          (0.05, 0.1, 0.15, 0.2, 0.3), 0.2, "number"),
    Shift("mean_alone", "mean + {:g} standard deviations, ratio broken", _add_deviations,
          (0.2,), 0.2, "number", is_alone=True),
    Shift("spread", "spread x {:g}", _stretch, (1.05, 1.1, 1.15, 1.25, 1.4), 1.25, "number"),
    Shift("share", "{:g} points of the loans at another level", _move_level,
          (0.02, 0.03, 0.04, 0.05, 0.08), 0.05, "category", is_share=True),
    Shift("new_level", "{:g} % of the loans at a new level", _add_level,
          (0.002, 0.005, 0.0075, 0.01, 0.02), 0.01, "category", is_share=True),
    Shift("nulls", "{:g} points more nulls", _make_null,
          (0.01, 0.02, 0.03, 0.05, 0.1), 0.03, "any", is_share=True),
    Shift("scores", "scores + {:g} in log-odds", _add_log_odds,
          (0.05, 0.1, 0.15, 0.2, 0.3), None, "score"),
)  # fmt: skip
"""The shifts that change one column. `permute_column` makes the shift CORRELATION."""
