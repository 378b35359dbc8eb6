"""Encode applications as a fitted ColumnTransformer does, level by level instead of row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.compose import ColumnTransformer

from loan_scoring.contract import Contract


@dataclass(frozen=True)
class Columns:
    """The columns of some applications, taken apart once for all models that read them."""

    rows: int
    numbers: dict[str, np.ndarray]
    """By name, float64 with nan for null, shape (rows,)."""
    levels: dict[str, np.ndarray]
    """By name, the levels that occur, nan as the last, shape (levels,)."""
    codes: dict[str, np.ndarray]
    """By name, the place of each row's level in `levels`, shape (rows,)."""

    def is_null(self, name: str) -> np.ndarray:
        """Return in which rows a column has no value, shape (rows,)."""
        if name in self.numbers:
            return np.asarray(np.isnan(self.numbers[name]))
        return np.asarray(self.codes[name] == len(self.levels[name]) - 1)

    def take(self, rows: np.ndarray) -> "Columns":
        """Return some rows, by a mask or by place."""
        return Columns(
            int(rows.sum()) if rows.dtype == bool else len(rows),
            {name: values[rows] for name, values in self.numbers.items()},
            self.levels,
            {name: codes[rows] for name, codes in self.codes.items()},
        )


def take_apart(table: pa.Table, contract: Contract, names: Sequence[str]) -> Columns:
    """Return the named columns of a table as numbers, and as levels and codes."""
    found = Columns(table.num_rows, {}, {}, {})
    for name in names:
        values = table.column(name).combine_chunks()
        if contract.by_name[name].is_numeric:
            found.numbers[name] = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            continue
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        levels = values.dictionary.to_pylist()
        found.levels[name] = np.array([*levels, float("nan")], dtype=object)
        found.codes[name] = values.indices.fill_null(len(levels)).to_numpy(zero_copy_only=False)
    return found


class Encoder:
    """A fitted ColumnTransformer of `numbers` and `categories`, asked once for each level.

    What it gives for a category depends on the level alone, so that it is asked for the levels
    that occur, and its answers are laid out by row: the same values bit for bit.
    """

    def __init__(self, transformer: ColumnTransformer) -> None:
        """Take the transformer; its numbers come first, its categories second."""
        (_, self._numbers, self._number_names), (_, self._categories, self._category_names) = [
            each for each in transformer.transformers_ if each[0] != "remainder"
        ]

    def encode(self, columns: Columns) -> np.ndarray:
        """Return what the transformer makes of the rows, shape (rows, encoded columns)."""
        parts = []
        if len(self._number_names):
            matrix = np.column_stack([columns.numbers[name] for name in self._number_names])
            frame = pd.DataFrame(matrix, columns=list(self._number_names), copy=False)
            parts.append(np.asarray(self._numbers.transform(frame), dtype=float))
        for table, codes in self._by_level(columns):
            parts.append(table[codes])
        return np.concatenate(parts, axis=1) if parts else np.empty((columns.rows, 0))

    def _by_level(self, columns: Columns) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return of each category what its levels become, shape (levels, width), and its codes."""
        names = list(self._category_names)
        if not names:
            return []
        most = max(len(columns.levels[name]) for name in names)
        # Shorter columns repeat their first level: those rows are not looked at.
        asked = pd.DataFrame({name: _padded(columns.levels[name], most) for name in names})
        told = np.asarray(self._categories.transform(asked), dtype=float)
        tables, start = [], 0
        for name, width in zip(names, self._widths(), strict=True):
            levels = len(columns.levels[name])
            tables.append((told[:levels, start : start + width], columns.codes[name]))
            start += width
        return tables

    def _widths(self) -> list[int]:
        """Return how many encoded columns each category becomes."""
        names = list(self._category_names)
        widths = dict.fromkeys(names, 0)
        for output in self._categories.get_feature_names_out(names):
            told = [name for name in names if output == name or output.startswith(f"{name}_")]
            widths[max(told, key=len)] += 1
        return list(widths.values())


def _padded(levels: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([levels, np.full(length - len(levels), levels[0], object)])
