"""Inputs of all types as one matrix, the same for baseline and batch: what joint tests work on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_LEVELS = 32
"""Levels with a place of their own, the most frequent ones; the others share one with new ones."""
TAIL = 0.01
"""Share of a number's values, on either side, that is drawn in before it is standardised."""


@dataclass(frozen=True)
class MatrixEncoding:
    """What was learnt of the baseline's columns: levels by frequency, tails and moments."""

    levels: dict[str, list[str]]
    """Of each category, the most frequent first."""
    tails: dict[str, tuple[float, float]]
    """Of each number, the values that its outer ones are drawn in to."""
    moments: dict[str, tuple[float, float]]
    """Of each number drawn in, mean and standard deviation."""

    @classmethod
    def fit(cls, frozen: Mapping[str, Mapping[str, Any]], sample: pa.Table) -> "MatrixEncoding":
        """Learn the columns of a baseline from what is frozen of them and from its sample."""
        levels, tails, moments = {}, {}, {}
        for name in sample.column_names:
            if "levels" in frozen[name]:
                levels[name] = list(frozen[name]["levels"])[:MOST_LEVELS]
                continue
            numbers = sample.column(name).drop_null().cast(pa.float64()).to_numpy()
            low, high = np.quantile(numbers, [TAIL, 1 - TAIL]) if len(numbers) else (0.0, 0.0)
            drawn_in = np.clip(numbers, low, high)
            tails[name] = (float(low), float(high))
            moments[name] = (
                (float(drawn_in.mean()), float(drawn_in.std())) if len(numbers) else (0.0, 0.0)
            )
        return cls(levels, tails, moments)

    @property
    def names(self) -> list[str]:
        """The matrix's columns: numbers first, then categories."""
        return [*self.tails, *self.levels]

    def matrix(self, table: pa.Table) -> np.ndarray:
        """Return numbers as they are and categories as codes, nan for null, (rows, columns).

        A level without a place has the code after the last.
        """
        encoded = np.empty((table.num_rows, len(self.names)))
        for place, name in enumerate(self.names):
            values = table.column(name).combine_chunks()
            if name in self.levels:
                known = pa.array(self.levels[name], pa.string())
                codes = pc.index_in(values, value_set=known).fill_null(len(known))
                values = pc.if_else(values.is_valid(), codes, pa.scalar(None, codes.type))
            encoded[:, place] = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return encoded

    def standardised(self, matrix: np.ndarray) -> np.ndarray:
        """Return what PCA takes of a matrix, shape (rows, width), float32, no nan.

        Numbers are drawn in to their tails and standardised, so that one huge income is not the
        whole variance; a null stands at the mean. Levels are one column each, 0 or 1: at most a
        quarter of a number's variance, and a rare level no more than its share. Nulls, and levels
        without a place, are a column, too.
        """
        places = 2 * len(self.tails) + sum(len(levels) + 2 for levels in self.levels.values())
        rows, start = np.arange(len(matrix)), 2 * len(self.tails)
        is_null = np.isnan(matrix)
        found = np.zeros((len(matrix), places), np.float32)
        for place, name in enumerate(self.tails):
            mean, spread = self.moments[name]
            drawn_in = np.clip(matrix[:, place], *self.tails[name])
            found[:, 2 * place] = np.nan_to_num((drawn_in - mean) / (spread or 1.0))
            found[:, 2 * place + 1] = is_null[:, place]
        for place, name in enumerate(self.levels, len(self.tails)):
            width = len(self.levels[name]) + 2
            codes = np.where(is_null[:, place], width - 1, matrix[:, place]).astype(np.intp)
            found[rows, start + codes] = 1
            start += width
        return found
