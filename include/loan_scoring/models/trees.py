"""Decision trees as arrays, and scikit-learn's boosting walked for score and leaves at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor


@dataclass(frozen=True)
class Tree:
    """A decision tree of any library: each node's value, and the loans it was fitted on.

    All shapes (nodes,). `left` and `right` are -1 at a leaf. The root is node 0, and a child
    comes after its parent. Values of inner nodes are not used.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    count: np.ndarray

    @cached_property
    def leaves(self) -> np.ndarray:
        """The nodes that are leaves, ascending."""
        return np.flatnonzero(self.left < 0)

    def paths(self, features: int) -> tuple[float, np.ndarray]:
        """Return the root's mean, and what each feature's splits add on the way to each leaf.

        The mean of an inner node is that of its leaves, weighted by their loans. A split on a
        feature adds the child's mean less the parent's (Saabas 2014). Root plus path is the
        leaf's value.

        Returns:
            the root's mean, and an array of shape (leaves, features).
        """
        mean, weight = self.value.astype(float).copy(), self.count.astype(float)
        for node in range(len(mean) - 1, -1, -1):
            left, right = self.left[node], self.right[node]
            if left >= 0:
                total = weight[left] + weight[right]
                mean[node] = (mean[left] * weight[left] + mean[right] * weight[right]) / total
        added = np.zeros((len(mean), features))
        for node in range(len(mean)):
            for child in (self.left[node], self.right[node]):
                if child >= 0:
                    added[child] = added[node]
                    added[child, self.feature[node]] += mean[child] - mean[node]
        return float(mean[0]), added[self.leaves]


class BinnedBoosting:
    """A fitted HistGradientBoostingClassifier of two classes, evaluated on binned values.

    A binned value is one byte, so one walk gives leaves and score. The bins are those of the fit:
    a row ends in the same leaves as in `predict_proba`. The leaves' values are added in the same
    order, so the log-odds are equal bit for bit.
    """

    def __init__(self, model: HistGradientBoostingClassifier) -> None:
        """Take the fitted model."""
        self._model = model
        self.base = float(np.ravel(model._baseline_prediction)[0])

    def leaves(self, encoded: np.ndarray) -> np.ndarray:
        """Return the leaf of each tree that a row ends in, shape (trees, rows).

        Leaves are counted in the order of `Tree.leaves`.

        Args:
            encoded: the input of the model's predict_proba, shape (rows, columns).
        """
        mapper = self._model._bin_mapper
        binned = mapper.transform(self._preprocessed(encoded))
        found = np.empty((len(self._leaf_predictors), len(encoded)), np.int32)
        for place, predictor in enumerate(self._leaf_predictors):
            found[place] = predictor.predict_binned(binned, mapper.missing_values_bin_idx_, 1)
        return found

    def log_odds(self, leaves: np.ndarray) -> np.ndarray:
        """Return the log-odds of default of rows from their leaves, shape (rows,)."""
        found = np.full(leaves.shape[1], self.base)
        for tree, ends in zip(self.trees, leaves, strict=True):
            found += tree.value[tree.leaves][ends]
        return found

    @cached_property
    def trees(self) -> list[Tree]:
        """The trees, with features counted as columns of `encoded`."""
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
        """The column of `encoded` at each place of the model's own order: categories come first."""
        is_category = np.zeros(self._model.n_features_in_, dtype=bool)
        if self._model.is_categorical_ is not None:
            is_category = self._model.is_categorical_
        return np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])

    @cached_property
    def _leaf_predictors(self) -> list[TreePredictor]:
        """Copies of the trees whose leaf value is the leaf's index.

        Predicting with them returns leaf indices at C speed.
        """
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

    def _preprocessed(self, encoded: np.ndarray) -> np.ndarray:
        """Return the output of the model's preprocessor, with each code looked up in a table."""
        if self._model._preprocessor is None:
            return np.asarray(encoded, dtype=float)
        inner = np.asarray(encoded, dtype=float)[:, self._order]
        categories, unknown = self._inner_codes.shape[1], len(self._inner_codes) - 1
        for place in range(categories):
            codes = inner[:, place]
            is_known = codes < unknown  # False for nan
            codes[~is_known] = unknown
            inner[:, place] = self._inner_codes[codes.astype(np.intp), place]
        return inner

    @cached_property
    def _inner_codes(self) -> np.ndarray:
        """Table from a raw code to the preprocessor's, shape (codes + 1, categories).

        The last row is for unknown codes and nan.
        """
        known = self._model._preprocessor.named_transformers_["encoder"].categories_
        highest = int(max(np.nanmax(codes, initial=0) for codes in known))
        raw = np.full((highest + 2, self._model.n_features_in_), np.nan)
        raw[:-1] = np.arange(highest + 1)[:, None]
        return np.asarray(self._model._preprocessor.transform(raw))[:, : len(known)]
