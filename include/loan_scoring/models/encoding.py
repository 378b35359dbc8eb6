"""Turn applications into the input of a model.

`feature_frame` makes the data frame that scikit-learn's encoders take. `Encoder` returns the same
values as scikit-learn's encoders, but faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import FunctionTransformer

from loan_scoring.contract import Contract
from loan_scoring.models.layout import encoded_widths, fitted_parts, transformers_of
from loan_scoring.models.numbers import as_floats


def feature_frame(table: pa.Table, contract: Contract, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a table as the data frame that a scikit-learn pipeline takes.

    Numeric columns and booleans have the type float64, and categories have the type object. A null
    becomes nan.
    """
    data = {}
    for name in columns:
        values = table.column(name)
        if contract.by_name[name].is_numeric_feature:
            data[name] = as_floats(values)
        else:
            data[name] = (
                values.to_pandas(types_mapper=None)
                .astype(object)
                .where(values.is_valid().to_pandas(), float("nan"))
            )
    return pd.DataFrame(data)


@dataclass(frozen=True)
class Columns:
    """The columns of some applications: numeric values, and codes for the levels of categories.

    A table is converted to this form once, and both models of a pair then read this form.
    """

    rows: int
    numbers: dict[str, np.ndarray]
    """The values of each numeric column by name, float64, shape (rows,). A null is nan.

    A boolean is 0 or 1.
    """
    levels: dict[str, np.ndarray]
    """The levels of each category by column name, shape (levels,).

    These are the levels that occur in the table, followed by nan for null.
    """
    codes: dict[str, np.ndarray]
    """The index of each row's level in `levels`, by column name, shape (rows,)."""

    def is_null(self, name: str) -> np.ndarray:
        """Return True for each row in which the column is null, shape (rows,)."""
        if name in self.numbers:
            return np.asarray(np.isnan(self.numbers[name]))
        return np.asarray(self.codes[name] == len(self.levels[name]) - 1)

    def take(self, rows: np.ndarray) -> "Columns":
        """Return the rows that a boolean mask or an array of row indices selects."""
        return Columns(
            int(rows.sum()) if rows.dtype == bool else len(rows),
            {name: values[rows] for name, values in self.numbers.items()},
            self.levels,
            {name: codes[rows] for name, codes in self.codes.items()},
        )


def split_columns(table: pa.Table, contract: Contract, names: Sequence[str]) -> Columns:
    """Return the named columns of a table as `Columns`."""
    found = Columns(table.num_rows, {}, {}, {})
    for name in names:
        values = table.column(name).combine_chunks()
        if contract.by_name[name].is_numeric_feature:
            found.numbers[name] = as_floats(values)
            continue
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        levels = values.dictionary.to_pylist()
        found.levels[name] = np.array([*levels, float("nan")], dtype=object)
        found.codes[name] = values.indices.fill_null(len(levels)).to_numpy(zero_copy_only=False)
    return found


_UNSEEN = object()
"""The key of every level that a fit has not seen."""


class Encoder:
    """Apply the fitted encoders of a model, as `_Encoder` does, and join their columns."""

    def __init__(self, transformer: ColumnTransformer | FeatureUnion) -> None:
        """Take the first step of a fitted pipeline that `build_candidate` or the personas made."""
        self._encoders = [_Encoder(each) for each in transformers_of(transformer)]

    def encode(self, columns: Columns) -> np.ndarray:
        """Return the rows as the transformer would encode them, shape (rows, encoded columns)."""
        parts = [each.encode(columns) for each in self._encoders]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


class _Encoder:
    """Apply a fitted ColumnTransformer once per distinct value instead of once per row.

    Each encoded value depends only on the raw value in its own column. So the encoder transforms
    each distinct value once and copies the result to all rows with this value. The result equals
    the transformer's output bit for bit. Encoded levels are kept for later calls. Levels that the
    fit has not seen are all encoded alike, so that only one of them is kept for each column.
    """

    def __init__(self, transformer: ColumnTransformer) -> None:
        """Take a fitted transformer whose first part is `numbers`, and all others of categories."""
        numbers, *categories = fitted_parts(transformer)
        self._numbers, self._number_names = numbers
        self._categories = [(part, names) for part, names in categories if names]
        self._fitted = {
            name: {level for level in levels if isinstance(level, str)}
            for part, names in self._categories
            for name, levels in zip(names, part.categories_, strict=True)
        }
        self._known: dict[str, dict[object, np.ndarray]] = {name: {} for name in self._fitted}

    def encode(self, columns: Columns) -> np.ndarray:
        """Return the rows as the transformer would encode them, shape (rows, encoded columns)."""
        parts = []
        if _is_identity(self._numbers):
            parts = [columns.numbers[name][:, None] for name in self._number_names]
        elif len(self._number_names):
            parts = self._encoded_numbers(columns)
        self._learn(columns)
        for name, known in self._known.items():
            table = np.stack([known[self._key(name, level)] for level in columns.levels[name]])
            parts.append(table[columns.codes[name]])
        return np.concatenate(parts, axis=1) if parts else np.empty((columns.rows, 0))

    def _encoded_numbers(self, columns: Columns) -> list[np.ndarray]:
        values, codes = {}, {}
        for name in self._number_names:
            codes[name], values[name] = pd.factorize(columns.numbers[name])
            # Append nan, because factorize gives nan the code -1, and -1 is the index of the last
            # value.
            values[name] = np.append(values[name], np.nan)
        tables = _transformed(self._numbers, values)
        return [tables[name][codes[name]] for name in self._number_names]

    def _learn(self, columns: Columns) -> None:
        """Encode the levels that no earlier call has encoded, and keep their encodings."""
        for part, names in self._categories:
            new: dict[str, dict[object, object]] = {}
            for name in names:
                levels = {self._key(name, level): level for level in columns.levels[name]}
                known = self._known[name]
                new[name] = {key: level for key, level in levels.items() if key not in known}
            if not any(new.values()):
                continue
            # The part needs values for all its columns, so a column without new levels gets nan.
            new = {name: levels or {None: float("nan")} for name, levels in new.items()}
            values = {
                name: np.array([*levels.values()], dtype=object) for name, levels in new.items()
            }
            for name, table in _transformed(part, values).items():
                self._known[name].update(zip(new[name], table, strict=True))

    def _key(self, name: str, level: object) -> object:
        """Return the key under which the encoding of a level is kept.

        The key of nan is None, because nan != nan.
        """
        if not isinstance(level, str):
            return None
        return level if level in self._fitted[name] else _UNSEEN


def _transformed(transformer: Any, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Transform the values of all columns in one call, and return the result by column.

    Args:
        transformer: fitted transformer of these columns.
        values: values of each column, by name. The columns may have different lengths.

    Returns:
        encoded values of each column, by name, shape (values, encoded columns).
    """
    names = list(values)
    longest = max(map(len, values.values()))
    frame = pd.DataFrame({name: _padded(values[name], longest) for name in names})
    encoded = np.asarray(transformer.transform(frame), dtype=float)
    *starts, width = np.cumsum([0, *encoded_widths(transformer, names)])
    if encoded.shape[1] != width:
        raise ValueError(f"{encoded.shape[1]} encoded columns, but the layout has {width}")
    tables = np.split(encoded, starts[1:], axis=1)
    return {name: table[: len(values[name])] for name, table in zip(names, tables, strict=True)}


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """Repeat the first value at the end until the array has the given length.

    All columns of a data frame need the same length. `_transformed` drops the added rows again.
    """
    return np.concatenate([values, np.full(length - len(values), values[0], values.dtype)])


def _is_identity(transformer: Any) -> bool:
    return isinstance(transformer, FunctionTransformer) and transformer.func is None
