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
class Encoding:
    """What was learnt of the baseline's columns: levels by frequency, tails and moments."""

    levels: dict[str, list[str]]
    """Of each category, the most frequent first."""
    tails: dict[str, tuple[float, float]]
    """Of each number, the values that its outer ones are drawn in to."""
    moments: dict[str, tuple[float, float]]
    """Of each number drawn in, mean and standard deviation."""

    @classmethod
    def fit(cls, frozen: Mapping[str, Mapping[str, Any]], sample: pa.Table) -> "Encoding":
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
        rows = len(matrix)
        is_null = np.isnan(matrix)
        parts = []
        for place, name in enumerate(self.tails):
            mean, spread = self.moments[name]
            drawn_in = np.clip(matrix[:, place], *self.tails[name])
            scaled = (drawn_in - mean) / (spread or 1.0)
            parts += [np.where(is_null[:, place], 0.0, scaled)[:, None], is_null[:, place, None]]
        for place, name in enumerate(self.levels, len(self.tails)):
            width = len(self.levels[name]) + 2
            codes = np.where(is_null[:, place], width - 1, matrix[:, place]).astype(np.intp)
            one_hot = np.zeros((rows, width), np.float32)
            one_hot[np.arange(rows), codes] = 1
            parts.append(one_hot)
        return np.concatenate(parts, axis=1, dtype=np.float32)
