"""Find the feature behind each encoded column, from what a fitted transformer has stored.

scikit-learn's names of encoded columns are never used: they join the name of a column and a level
by `_`. Then level `type_a` of column `job` and level `a` of column `job_type` have one name.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    SplineTransformer,
)

from loan_scoring.models.binning import BinnedLevels, BinnedNumbers

MISSING, RARE = "missing", "rare"
"""Words for the level of a null, and for the group of the rare levels of a category."""


def fitted_parts(transformer: ColumnTransformer) -> list[tuple[Any, list[str]]]:
    """Return the fitted parts of a transformer, each with the names of its input columns."""
    return [
        (part, list(names)) for label, part, names in transformer.transformers_
        if label != "remainder"
    ]  # fmt: skip


def transformers_of(transformer: ColumnTransformer | FeatureUnion) -> list[ColumnTransformer]:
    """Return the encoders of a model: one, or two whose columns stand side by side."""
    if isinstance(transformer, FeatureUnion):
        return [each for _, each in transformer.transformer_list]
    return [transformer]


def encoded_widths(part: Any, names: Sequence[str]) -> list[int]:
    """Return into how many encoded columns a fitted part turns each of its input columns.

    Args:
        part: fitted transformer of these columns.
        names: names of the input columns, in the order of the fit.
    """
    if not len(names):
        return []  # scikit-learn does not fit such a part
    if isinstance(part, Pipeline):
        return encoded_widths(part[0], names)  # the steps after the first one keep the columns
    if isinstance(part, SimpleImputer):  # drops a column that was null in all rows of the fit
        return [int(not np.isnan(each)) for each in part.statistics_]
    if isinstance(part, SplineTransformer):
        return [part.n_features_out_ // len(names)] * len(names)
    if isinstance(part, OneHotEncoder):
        return [len(encoded_levels(part, place)) for place in range(len(names))]
    if isinstance(part, OrdinalEncoder | FunctionTransformer | BinnedNumbers | BinnedLevels):
        return [1] * len(names)
    raise TypeError(f"the layout of a {type(part).__name__} is not known")


def encoded_levels(encoder: OneHotEncoder, place: int) -> list[str]:
    """Return a word for each encoded column of the category at this index of the encoder.

    The words are the levels with a column of their own, then RARE if rare levels share a column.
    The word for a null is MISSING.
    """
    groups = getattr(encoder, "infrequent_categories_", None)
    rare = set() if groups is None or groups[place] is None else {*map(_key, groups[place])}
    own = [key for key in map(_key, encoder.categories_[place]) if key not in rare]
    return [MISSING if key is None else key for key in own] + [RARE] * bool(rare)


def _key(level: object) -> str | None:
    """Return a level, or None for a null. The encoder has nan for a null, and nan != nan."""
    return level if isinstance(level, str) else None


def encoded_features(transformer: ColumnTransformer | FeatureUnion) -> list[str]:
    """Return the name of the feature behind each column that a fitted transformer makes."""
    return [
        name
        for each in transformers_of(transformer)
        for part, names in fitted_parts(each)
        for name, width in zip(names, encoded_widths(part, names), strict=True)
        for _ in range(width)
    ]
