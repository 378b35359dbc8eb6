"""Draw loans of a pool with another mix of applicants, by weights.

Which columns are used follows from the contract and the pool, so that every portfolio has the same
scenarios.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtri
from scipy.stats import rankdata

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.pool import LoanPool
from loan_scoring.models.numbers import as_floats
from loan_scoring.statistics.calibration import log_odds

WEEKEND_LEVEL = 0.14
"""The share that the level of `MixColumns.level` has at best: a minority that is not rare."""
WEEKEND_FACTOR = 8 / 14
"""Share of that level on weekends, relative to working days."""


@dataclass(frozen=True)
class MixColumns:
    """The columns by which scenarios change the mix of applicants.

    `number` is the column of the contract's scenario `multiply`, else the first number that varies.
    `category` and `level` are the second most frequent level with a share nearest to WEEKEND_LEVEL.
    `rare` and `rare_level` are the rarest level.
    """

    number: str
    category: str
    level: str
    rare: str
    rare_level: str


def choose_columns(contract: Contract, table: pa.Table) -> MixColumns:
    """Choose the columns by which scenarios change the mix of the loans in `table`."""
    scenarios = contract.replay.scenarios.values()
    names = [each.column for each in scenarios if each.kind == "multiply"]
    names += [each.name for each in contract.monitored if each.is_numeric]
    number = next(each for each in names if each and len(table.column(each).unique()) > 1)
    shares = {}
    for column in contract.columns:
        if column.name in table.column_names and not column.is_numeric:
            counted = table.column(column.name).drop_null().value_counts().to_pylist()
            counted.sort(key=lambda each: -each["counts"])
            shares[column.name] = [(e["values"], e["counts"] / table.num_rows) for e in counted]
    several = [name for name, levels in shares.items() if len(levels) > 1]
    category = min(several, key=lambda name: abs(shares[name][1][1] - WEEKEND_LEVEL))
    rare = min(several, key=lambda name: shares[name][-1][1])
    return MixColumns(number, category, shares[category][1][0], rare, shares[rare][-1][0])


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Return the normal scores (van der Waerden 1952) of values, shape (rows,). nan becomes 0.

    A weight of exp(u z) for the scores z then moves their mean by u and leaves their variance.
    """
    known = ~np.isnan(values)
    found = np.zeros(len(values))
    found[known] = ndtri(rankdata(values[known]) / (known.sum() + 1))
    return found


def column_scores(pool: LoanPool, name: str) -> np.ndarray:
    """Return the normal scores of a numeric column of a pool, shape (rows,)."""
    return normal_scores(as_floats(pool.table.column(name)))


def level_weights(pool: LoanPool, name: str, level: str, factor: float) -> np.ndarray:
    """Return weights that multiply the share of a level by `factor`, shape (rows,)."""
    is_level = pc.equal(pool.table.column(name), level).fill_null(False).to_numpy()
    share = is_level.mean()
    return np.where(is_level, factor, (1 - factor * share) / (1 - share))


def mixes_of_applicants(pool: LoanPool, columns: MixColumns) -> dict[str, np.ndarray]:
    """Return the weights of each loan in six mixes of applicants, by name of the mix."""
    risk = normal_scores(log_odds(pool.probability))
    number = column_scores(pool, columns.number)
    return {
        "riskier by 0.5 sd": np.exp(0.5 * risk),
        "safer by 0.5 sd": np.exp(-0.5 * risk),
        f"{columns.number} + 0.5 sd": np.exp(0.5 * number),
        f"{columns.number} - 0.5 sd": np.exp(-0.5 * number),
        f"{columns.category} {columns.level} doubled": level_weights(
            pool, columns.category, columns.level, 2.0
        ),
        "only middle risks": np.exp(-1.5 * risk**2),
    }


def draw_rows(
    weights: np.ndarray | None, rows: int, size: int, dice: np.random.Generator
) -> np.ndarray:
    """Draw `size` of `rows` rows without repetition, with the given weights, shape (size,)."""
    share = None if weights is None else weights / weights.sum()
    return dice.choice(rows, size, replace=False, p=share)
