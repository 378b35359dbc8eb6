"""Encode columns by the weight of evidence of their bins, for scorecards.

The bins are found by optbinning (Navas-Palencia 2020, arXiv:2001.08025). What is fitted is plain
numbers, so that scores need no optbinning.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from loan_scoring.errors import INSTALL_EXTRAS, ContractError

FEWEST_LOANS = 20
"""A bin with fewer loans has the weight of evidence 0, as if nothing were known about it."""

TRENDS = {1: "ascending", -1: "descending", 0: "auto"}
"""optbinning's words for the trend of default rates, by the direction of a column."""


def import_optbinning() -> Any:
    """Import optbinning and return the module.

    Raises:
        ContractError: it is not installed.
    """
    try:
        import optbinning
    except ImportError as error:
        raise ContractError(
            "training.candidates: scorecard needs the package optbinning; run "
            f"{INSTALL_EXTRAS}, or remove the candidate"
        ) from error
    return optbinning


def weights_of_evidence(loans: np.ndarray, defaults: np.ndarray) -> np.ndarray:
    """Return ln(odds of default in a bin / odds of default of all loans) of each bin.

    Each bin is counted as if it had one more loan with the default rate of all, so that a bin with
    one outcome only has a finite weight.

    Args:
        loans: number of loans in each bin, shape (bins,). All outcomes must occur.
        defaults: number of these that defaulted, shape (bins,).
    """
    rate = defaults.sum() / loans.sum()
    bad, good = defaults + rate, loans - defaults + 1 - rate
    found = np.log(bad / good) - np.log(rate / (1 - rate))
    return np.where(loans < FEWEST_LOANS, 0.0, found)


class _Binned(TransformerMixin, BaseEstimator):
    """Base of both encoders. `loans_`, `defaults_` and `woe_` have an array of bins a column."""

    def _count(self, bins: Sequence[np.ndarray], sizes: Sequence[int], y: np.ndarray) -> None:
        """Keep the counts and the weights of evidence of all columns.

        Args:
            bins: bin of each loan by column, each shape (rows,).
            sizes: number of bins by column.
            y: outcomes, 1 for default, shape (rows,).
        """
        self.loans_ = [
            np.bincount(each, minlength=size) for each, size in zip(bins, sizes, strict=True)
        ]
        self.defaults_ = [
            np.bincount(each, y, minlength=size).astype(int)
            for each, size in zip(bins, sizes, strict=True)
        ]
        self.woe_ = [
            weights_of_evidence(*each) for each in zip(self.loans_, self.defaults_, strict=True)
        ]

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Return the weight of evidence of each value, shape (rows, columns)."""
        return np.column_stack(
            [self.woe_[place][self.bins(place, X.iloc[:, place])] for place in range(X.shape[1])]
        )

    def bins(self, place: int, values: pd.Series) -> np.ndarray:
        """Return the bin of each value of the column at this index, shape (rows,)."""
        raise NotImplementedError


class BinnedNumbers(_Binned):
    """Encode numbers by bins. Bins go from low to high, then come special codes, and null is last.

    `cuts_` has the upper limits of all bins but the highest, a list a column. A value that equals a
    cut is in the bin above it.
    """

    def __init__(
        self,
        directions: Sequence[int] = (),
        special_codes: Sequence[Sequence[float]] = (),
        max_bins: int = 8,
        min_bin_share: float = 0.01,
    ) -> None:
        """Store the parameters.

        Args:
            directions: of each column: 1 if default rates must not fall from bin to bin, -1 if they
                must not rise, 0 if optbinning chooses the trend.
            special_codes: of each column, the values that get bins of their own.
            max_bins: the largest number of bins, without those of special codes and null.
            min_bin_share: the smallest share of the loans in a bin.
        """
        self.directions = directions
        self.special_codes = special_codes
        self.max_bins = max_bins
        self.min_bin_share = min_bin_share

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Find the bins.

        Args:
            X: numbers, nan for null, shape (rows, columns).
            y: outcomes, 1 for default, shape (rows,).
        """
        self.cuts_ = []
        for place in range(X.shape[1]):
            values = X.iloc[:, place].to_numpy(float)
            usual = ~(np.isnan(values) | np.isin(values, self.special_codes[place]))
            direction = self.directions[place]
            found = _optimal(
                values[usual], y[usual], len(y), self.max_bins, self.min_bin_share,
                dtype="numerical", monotonic_trend=TRENDS[direction],
            )  # fmt: skip
            cuts = [float(each) for each in found]
            self.cuts_.append(_in_order(cuts, values[usual], y[usual], direction))
        sizes = [
            len(cuts) + 2 + len(codes)
            for cuts, codes in zip(self.cuts_, self.special_codes, strict=True)
        ]
        bins = [self.bins(place, X.iloc[:, place]) for place in range(X.shape[1])]
        self._count(bins, sizes, y)
        return self

    def bins(self, place: int, values: pd.Series) -> np.ndarray:
        """Return the bin of each value of the column at this index, shape (rows,)."""
        numbers, cuts = values.to_numpy(float), self.cuts_[place]
        found = np.searchsorted(cuts, numbers, side="right")
        codes = self.special_codes[place]
        for nth, code in enumerate(codes):
            found[numbers == code] = len(cuts) + 1 + nth
        found[np.isnan(numbers)] = len(cuts) + 1 + len(codes)
        return np.asarray(found)


class BinnedLevels(_Binned):
    """Encode categories by groups of levels with similar default rates.

    After the groups come one bin of levels that were rare or not seen in the fit, and one of nulls.
    `categories_` has the levels that are told apart, and `groups_` the bin of each, both a list
    for each column.
    """

    def __init__(
        self,
        min_frequency: int = FEWEST_LOANS,
        max_categories: int = 255,
        max_bins: int = 8,
        min_bin_share: float = 0.01,
    ) -> None:
        """Store the parameters.

        Args:
            min_frequency: levels of fewer loans are rare.
            max_categories: the largest number of levels that are told apart, with the rare ones as
                one. The most frequent are kept.
            max_bins: the largest number of groups.
            min_bin_share: the smallest share of the loans in a group.
        """
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.max_bins = max_bins
        self.min_bin_share = min_bin_share

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Find the groups.

        Args:
            X: levels, nan for null, shape (rows, columns).
            y: outcomes, 1 for default, shape (rows,).
        """
        self.categories_, self.groups_ = [], []
        for place in range(X.shape[1]):
            values = X.iloc[:, place]
            counts = values.value_counts()
            enough = counts[counts >= self.min_frequency]
            # In order of the text among equal counts, so that the order of rows has no effect.
            kept = sorted(enough.index, key=lambda level: (-enough[level], level))
            kept = sorted(kept[: self.max_categories - 1])
            number = {level: str(nth) for nth, level in enumerate(kept)}
            usual = values.isin(kept).to_numpy()
            codes = values[usual].map(number).to_numpy(object)
            found = _optimal(
                codes, y[usual], len(y), self.max_bins, self.min_bin_share, dtype="categorical"
            )
            group = {code: nth for nth, codes in enumerate(found) for code in codes}
            self.categories_.append(kept)
            self.groups_.append([group.get(number[level], 0) for level in kept])
        sizes = [max(groups, default=-1) + 3 for groups in self.groups_]
        bins = [self.bins(place, X.iloc[:, place]) for place in range(X.shape[1])]
        self._count(bins, sizes, y)
        return self

    def bins(self, place: int, values: pd.Series) -> np.ndarray:
        """Return the bin of each value of the column at this index, shape (rows,)."""
        groups = self.groups_[place]
        rare = max(groups, default=-1) + 1
        known = dict(zip(self.categories_[place], groups, strict=True))
        found = np.array(values.map(known).fillna(rare), dtype=int)
        found[values.isna().to_numpy()] = rare + 1
        return np.asarray(found)


def _optimal(
    values: np.ndarray, y: np.ndarray, rows: int, most: int, share: float, **how: Any
) -> Sequence[Any]:
    """Return the cuts of numbers, or the groups of categories. Empty if one bin is best.

    Args:
        values: values without nulls and special codes, shape (values,).
        y: their outcomes, shape (values,).
        rows: number of all loans, of which a bin needs `share`.
        most: the largest number of bins.
        share: the smallest share of the loans in a bin.
        how: further arguments of optbinning's OptimalBinning.
    """
    if len(np.unique(values)) < 2 or len(np.unique(y)) < 2 or len(y) < 2 * FEWEST_LOANS:
        return []
    smallest = min(max(share * rows, FEWEST_LOANS) / len(y), 0.5)
    found = import_optbinning().OptimalBinning(
        solver="cp", max_n_prebins=max(20, most), max_n_bins=most,
        min_prebin_size=smallest, **how,
    )  # fmt: skip
    found.fit(values, y)
    if found.status not in ("OPTIMAL", "FEASIBLE"):
        raise ValueError(f"optbinning found no bins: {found.status.lower()}")
    return list(found.splits)


def _in_order(cuts: list[float], values: np.ndarray, y: np.ndarray, direction: int) -> list[float]:
    """Remove cuts until the weights of evidence keep the direction.

    optbinning orders default rates. A weight of evidence is pulled a little towards 0, the more the
    smaller the bin, so that two bins with almost equal rates might change places.
    """
    while direction and cuts:
        bins = np.searchsorted(cuts, values, side="right")
        loans = np.bincount(bins, minlength=len(cuts) + 1)
        defaults = np.bincount(bins, y, minlength=len(cuts) + 1)
        steps = [direction * (b - a) for a, b in pairwise(weights_of_evidence(loans, defaults))]
        if min(steps) >= 0:
            break
        del cuts[int(np.argmin(steps))]
    return cuts
