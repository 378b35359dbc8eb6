"""Measure how well a single column reveals the outcome.

The figures are the AUC of the column, the AUC of its nulls, and its near-pure levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from loan_scoring.contract import LeakPolicy
from loan_scoring.models.numbers import as_floats
from loan_scoring.statistics.auc import auc, auc_of_counts
from loan_scoring.statistics.intervals import wilson

FOLDS = 5
BINS = 32
"""The number of quantile bins of a numeric column.

32 bins are fine enough for any relation to the outcome that a few thousand loans can show.
"""
PURE_LIFT = 1.5
"""The minimum lift of a near-pure level.

The lift is the share of an outcome in the level, divided by the share of this outcome in all loans.
Without this minimum, many harmless levels would count if, for example, 98 % of all loans are paid.
"""

Level = str | float | tuple[float, float] | None
"""A category, a single number, a bin from one number to another, or None for null.

Levels are told apart by this value and never by their label, because labels are rounded.
"""


@dataclass(frozen=True)
class PureLevel:
    """A level of a column in which nearly all loans have the same outcome.

    In a numeric column, a level is a bin or a single value.

    `loans` is the number of loans in the level. `default_rate` is the share of these loans that
    defaulted. `coverage` is the number of loans in the level with the prevailing outcome, divided
    by the number of all loans with this outcome.
    """

    level: str
    loans: int
    default_rate: float
    coverage: float


@dataclass(frozen=True)
class LeakFigures:
    """How well a column reveals the outcome of some loans.

    `auc` is `level_auc`, or of a numeric column the AUC of its values in the better direction if
    that is higher: in small files `level_auc` of a weak column is far too low. `null_auc` is that
    of the nulls alone. Both are at least 0.5, because a column without information cannot be worse
    than a guess. `auc` is None if all loans have the same value, and `null_auc` is None if the
    column is null for all loans or for none. Both are None if an outcome has too few loans.
    """

    loans: int
    nulls: int
    auc: float | None
    null_auc: float | None
    near_pure: list[PureLevel]


def leak_figures(values: pa.Array, y: np.ndarray, policy: LeakPolicy, seed: int) -> LeakFigures:
    """Return the leak figures of one column.

    Args:
        values: values of the column.
        y: whether each loan defaulted, shape (rows,), bool.
        policy: limits of the leak gate.
        seed: random seed for drawing the folds.
    """
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.string())  # its levels are true and false
    null = values.is_null().to_numpy(zero_copy_only=False)
    codes, levels = _coded(values)
    return LeakFigures(
        len(y),
        int(null.sum()),
        _at_least(level_auc(codes, y, seed), _plain_auc(values, null, y)),
        _at_least(level_auc(null.astype(int), y, seed), 0.5),
        _near_pure(values, codes, levels, y, policy),
    )


def _at_least(value: float | None, least: float) -> float | None:
    return None if value is None else max(value, least)


def _plain_auc(values: pa.Array, null: np.ndarray, y: np.ndarray) -> float:
    """Return the AUC of numbers in the better direction, and 0.5 of texts.

    Nulls count as the median, so that a few numbers among many nulls show little.
    """
    if pa.types.is_string(values.type) or null.all() or y.all() or not y.any():
        return 0.5
    numbers = np.nan_to_num(as_floats(values))
    found = auc(y, np.where(null, np.median(numbers[~null]), numbers))
    return max(found, 1 - found)


def level_auc(codes: np.ndarray, y: np.ndarray, seed: int) -> float | None:
    """Return the out-of-sample AUC with which the levels of a column rank loans by default.

    For each of 5 folds, the levels are ranked by their default rates in the other four folds. Each
    rate is shrunk towards the overall rate, as if the level had one more loan with this rate. The
    result is the mean AUC of the folds. The direction of the ranking comes from the other folds
    and is not chosen afterwards, so a column without information gives about 0.5.

    Return None if all loans have the same level, or if an outcome has fewer than 5 loans.

    Args:
        codes: code of each loan's level, from 0, shape (rows,).
        y: whether each loan defaulted, shape (rows,), bool.
        seed: random seed for drawing the folds.
    """
    levels = int(codes.max()) + 1 if len(codes) else 0
    if levels < 2 or len(np.unique(codes)) < 2 or min(y.sum(), (~y).sum()) < FOLDS:
        return None
    fold = np.empty(len(y), dtype=int)
    dice = np.random.default_rng(seed)
    for outcome in (True, False):
        members = np.flatnonzero(y == outcome)
        fold[dice.permutation(members)] = np.arange(len(members)) % FOLDS
    cells = fold * levels + codes
    shape = (FOLDS, levels)
    bad = np.bincount(cells[y], minlength=FOLDS * levels).reshape(shape)
    good = np.bincount(cells[~y], minlength=FOLDS * levels).reshape(shape)
    overall = y.mean()
    found = []
    for each in range(FOLDS):
        others_bad = bad.sum(axis=0) - bad[each]
        others = others_bad + good.sum(axis=0) - good[each]
        rate = (others_bad + overall) / (others + 1)
        _, place = np.unique(rate, return_inverse=True)
        found.append(auc_of_counts(np.bincount(place, bad[each]), np.bincount(place, good[each])))
    return float(np.mean(found))


def _coded(values: pa.Array) -> tuple[np.ndarray, list[Level]]:
    """Return the code of each value's level, shape (rows,), and the levels by code.

    Codes start at 0. Null is a level of its own. The levels of a numeric column are quantile bins.
    A value that would fill a whole bin gets its own bin.
    """
    null = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        found = encoded.dictionary.to_pylist()
        codes = encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        return codes.astype(int), [*found, None]
    numbers = np.nan_to_num(as_floats(values))
    present = numbers[~null]
    if not len(present):
        return np.zeros(len(numbers), dtype=int), [None]
    cuts = np.quantile(present, np.arange(1, BINS) / BINS, method="lower")
    edges, repeats = np.unique(cuts, return_counts=True)
    spikes = edges[repeats > 1]
    edges = np.unique([*edges, *np.nextafter(spikes, np.inf)])
    codes = np.searchsorted(edges, numbers, side="right")
    bounds = [float(bound) for bound in (present.min(), *edges, present.max())]
    levels: list[Level] = [
        low if high <= np.nextafter(low, np.inf) else (low, high) for low, high in pairwise(bounds)
    ]
    codes[null] = len(levels)
    return codes, [*levels, None]


def _label(level: Level) -> str:
    """Return the text of a level in the leak report."""
    if level is None:
        return "null"
    if isinstance(level, tuple):
        return f"{level[0]:g} to {level[1]:g}"
    return level if isinstance(level, str) else f"{level:g}"


def _near_pure(
    values: pa.Array, codes: np.ndarray, levels: Sequence[Level], y: np.ndarray, policy: LeakPolicy
) -> list[PureLevel]:
    """Return the levels in which nearly all loans have the same outcome, the largest level first.

    For a categorical column, each category counts as a level. For a numeric column, each bin and
    also each distinct value counts as a level. Null is a level too. Levels with fewer than
    `min_level_loans` loans are left out.

    The share of the outcome in the level must be at least PURE_LIFT times the share of the outcome
    in all loans. The lower limit of the Wilson interval of the share in the level must be at least
    `pure_share`. The lower limit is used instead of the share itself, so that a small level does
    not count by chance.
    """
    loans = np.bincount(codes, minlength=len(levels))
    defaults = np.bincount(codes, y, minlength=len(levels)).astype(int)
    counted = {levels[i]: (loans[i], defaults[i]) for i in map(int, np.flatnonzero(loans))}
    if not pa.types.is_string(values.type):
        numbers = as_floats(values.drop_null())
        single, place = np.unique(numbers, return_inverse=True)
        is_present = ~values.is_null().to_numpy(zero_copy_only=False)
        loans = np.bincount(place, minlength=len(single))
        defaults = np.bincount(place, y[is_present], minlength=len(single)).astype(int)
        counted |= {
            float(single[i]): (loans[i], defaults[i])
            for i in np.flatnonzero(loans >= policy.min_level_loans)
        }
    found = []
    for level, (n, bad) in counted.items():
        if n < policy.min_level_loans:
            continue
        for hits, total in ((bad, y.sum()), (n - bad, (~y).sum())):
            low = wilson(int(hits), int(n))[0]
            if low >= policy.pure_share and hits / n >= PURE_LIFT * total / len(y):
                found.append(PureLevel(_label(level), int(n), float(bad / n), float(hits / total)))
    return sorted(found, key=lambda each: -each.loans)
