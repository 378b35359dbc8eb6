"""How much of the outcome one column gives away: its AUC, that of its nulls, near-pure levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from loan_scoring.contract import LeakPolicy
from loan_scoring.statistics.auc import auc_of_counts
from loan_scoring.statistics.intervals import wilson

FOLDS = 5
BINS = 32
"""Quantile bins of a number: fine enough for any shape that a few thousand loans can show."""
PURE_LIFT = 1.5
"""How many times its share in all loans an outcome must have in a near-pure level.

Where 98 % of all loans are paid, a level in which all are paid means nothing.
"""
NULL = "null"


@dataclass(frozen=True)
class PureLevel:
    """A level, a bin or a frequent number in which nearly all loans have the same outcome.

    `loans` is its number of loans, `default_rate` the share of them that defaulted, and `coverage`
    the share of all loans with the level's outcome that are in it.
    """

    level: str
    loans: int
    default_rate: float
    coverage: float


@dataclass(frozen=True)
class LeakFigures:
    """The figures of a column over some loans.

    `auc` and `null_auc` are None where the column, or its nulls, are the same for every loan.
    """

    loans: int
    nulls: int
    auc: float | None
    null_auc: float | None
    near_pure: list[PureLevel]


def leak_figures(values: pa.Array, y: np.ndarray, policy: LeakPolicy, seed: int) -> LeakFigures:
    """Return the figures of one column against outcomes `y`, shape (rows,)."""
    null = values.is_null().to_numpy(zero_copy_only=False)
    codes, names = _coded(values)
    return LeakFigures(
        len(y),
        int(null.sum()),
        level_auc(codes, y, seed),
        level_auc(null.astype(int), y, seed),
        _near_pure(values, codes, names, y, policy),
    )


def level_auc(codes: np.ndarray, y: np.ndarray, seed: int) -> float | None:
    """Return the out-of-sample AUC of a column's levels; None for a single level or few outcomes.

    In each of 5 folds, levels are ranked by their default rates in the other four, shrunk to the
    overall rate by one more loan; the result is the mean of the folds' AUC. As the rates give the
    direction, it need not be chosen afterwards, and noise gives 0.5.

    Args:
        codes: level of each loan, counted from 0, shape (rows,).
        y: whether it defaulted, shape (rows,).
        seed: of the folds.
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


def _coded(values: pa.Array) -> tuple[np.ndarray, list[str]]:
    """Return each value's level, counted from 0, and the levels' names; null is a level.

    The levels of a number are its quantile bins; a value that fills a bin has one of its own.
    """
    null = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
        return codes.astype(int), [*names, NULL]
    numbers = values.cast(pa.float64()).fill_null(0).to_numpy(zero_copy_only=False)
    present = numbers[~null]
    if not len(present):
        return np.zeros(len(numbers), dtype=int), [NULL]
    cuts = np.quantile(present, np.arange(1, BINS) / BINS, method="lower")
    edges, repeats = np.unique(cuts, return_counts=True)
    spikes = edges[repeats > 1]
    edges = np.unique([*edges, *np.nextafter(spikes, np.inf)])
    codes = np.searchsorted(edges, numbers, side="right")
    bounds = [present.min(), *edges, present.max()]
    names = [
        f"{low:g}" if high <= np.nextafter(low, np.inf) else f"{low:g} to {high:g}"
        for low, high in pairwise(bounds)
    ]
    codes[null] = len(names)
    return codes, [*names, NULL]


def _near_pure(
    values: pa.Array, codes: np.ndarray, names: Sequence[str], y: np.ndarray, policy: LeakPolicy
) -> list[PureLevel]:
    """Return the levels in which nearly all loans have one outcome, the largest level first.

    Levels are those of a category, the bins of a number, null, and each single number with at
    least `min_level_loans` loans. The lower Wilson bound of the outcome's share must reach the
    limit, so that a tiny level does not count.
    """
    loans = np.bincount(codes, minlength=len(names))
    defaults = np.bincount(codes, y, minlength=len(names)).astype(int)
    counted = {names[i]: (loans[i], defaults[i]) for i in map(int, np.flatnonzero(loans))}
    if not pa.types.is_string(values.type):
        numbers = values.cast(pa.float64()).drop_null().to_numpy()
        single, place = np.unique(numbers, return_inverse=True)
        is_present = ~values.is_null().to_numpy(zero_copy_only=False)
        loans = np.bincount(place, minlength=len(single))
        defaults = np.bincount(place, y[is_present], minlength=len(single)).astype(int)
        counted |= {
            f"{single[i]:g}": (loans[i], defaults[i])
            for i in np.flatnonzero(loans >= policy.min_level_loans)
        }
    found = []
    for name, (n, bad) in counted.items():
        if n < policy.min_level_loans:
            continue
        for hits, total in ((bad, y.sum()), (n - bad, (~y).sum())):
            low = wilson(int(hits), int(n))[0]
            if low >= policy.pure_share and hits / n >= PURE_LIFT * total / len(y):
                found.append(PureLevel(name, int(n), float(bad / n), float(hits / total)))
    return sorted(found, key=lambda level: -level.loans)
