"""The trees of scikit-learn's boosting, asked for leaves: score and reasons in one walk."""

from functools import cached_property

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from loan_scoring.models.trees import Tree


class BinnedBoosting:
    """A fitted HistGradientBoostingClassifier, walked on binned values: a byte each.

    The bins are those that it was fitted on, so that a row ends in the leaves that `predict_proba`
    finds; its log-odds are added up in the same order, to the same bits.
    """

    def __init__(self, model: HistGradientBoostingClassifier) -> None:
        """Take the model; it is for two classes."""
        self._model = model
        self.base = float(np.ravel(model._baseline_prediction)[0])

    def leaves(self, encoded: np.ndarray) -> np.ndarray:
        """Return which leaf of each tree, in their order, a row ends in, shape (trees, rows).

        Args:
            encoded: what the model's predict_proba takes, shape (rows, columns).
        """
        mapper = self._model._bin_mapper
        binned = mapper.transform(self._inner(encoded))
        found = np.empty((len(self._markers), len(encoded)), np.int32)
        for place, marker in enumerate(self._markers):
            found[place] = marker.predict_binned(binned, mapper.missing_values_bin_idx_, 1)
        return found

    def log_odds(self, leaves: np.ndarray) -> np.ndarray:
        """Return the log-odds of default of rows by their leaves, shape (rows,)."""
        found = np.full(leaves.shape[1], self.base)
        for tree, ends in zip(self.trees, leaves, strict=True):
            found += tree.value[tree.leaves][ends]
        return found

    @cached_property
    def trees(self) -> list[Tree]:
        """The trees, of the columns that `leaves` takes."""
        made = []
        for (predictor,) in self._model._predictors:
            nodes = predictor.nodes
            is_leaf = nodes["is_leaf"].astype(bool)
            made.append(
                Tree(
                    np.where(is_leaf, -1, nodes["left"].astype(int)),
                    np.where(is_leaf, -1, nodes["right"].astype(int)),
                    self._order[nodes["feature_idx"].astype(int)],
                    nodes["value"],
                    nodes["count"],
                )
            )
        return made

    @cached_property
    def _order(self) -> np.ndarray:
        """Its own order of columns: what it was told to be categories stands before the numbers."""
        is_category = np.zeros(self._model.n_features_in_, dtype=bool)
        if self._model.is_categorical_ is not None:
            is_category = self._model.is_categorical_
        return np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])

    @cached_property
    def _markers(self) -> list[TreePredictor]:
        """The trees, each leaf saying its own number: they are walked in C so."""
        made = []
        for (predictor,) in self._model._predictors:
            nodes = predictor.nodes.copy()
            is_leaf = nodes["is_leaf"].astype(bool)
            nodes["value"][is_leaf] = np.arange(is_leaf.sum())
            made.append(
                TreePredictor(
                    nodes, predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets
                )
            )
        return made

    def _inner(self, encoded: np.ndarray) -> np.ndarray:
        """Return rows as its own first step gives them, asked for each code once."""
        if self._model._preprocessor is None:
            return np.asarray(encoded, dtype=float)
        inner = np.asarray(encoded, dtype=float)[:, self._order]
        categories, unknown = self._codes.shape[1], len(self._codes) - 1
        for place in range(categories):
            codes = inner[:, place]
            is_known = codes < unknown  # nan is not
            codes[~is_known] = unknown
            inner[:, place] = self._codes[codes.astype(np.intp), place]
        return inner

    @cached_property
    def _codes(self) -> np.ndarray:
        """What its first step makes of each code, and in the last row of those that it does not
        know and of nan, shape (codes + 1, categories)."""
        known = self._model._preprocessor.named_transformers_["encoder"].categories_
        most = int(max(np.nanmax(codes, initial=0) for codes in known))
        asked = np.full((most + 2, self._model.n_features_in_), np.nan)
        asked[:-1] = np.arange(most + 1)[:, None]
        return np.asarray(self._model._preprocessor.transform(asked))[:, : len(known)]
