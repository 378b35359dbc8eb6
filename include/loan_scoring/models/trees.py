"""Evaluate decision trees that are stored as arrays.

`BinnedBoosting` evaluates scikit-learn's boosted trees, so that one pass gives the score and the
leaves of each row.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor


@dataclass(frozen=True)
class Tree:
    """A decision tree in a form that does not depend on the library that fitted it.

    All arrays have one element per node, shape (nodes,). Node 0 is the root, and every child comes
    after its parent. `left` and `right` are the indices of the children, or -1 at a leaf.
    `feature` is the column of the split. `value` is what a leaf adds to the score, and is not used
    for inner nodes. `count` is the weight of the node. The weight is the number of loans in the
    node, or the sum of the weights or hessians of these loans.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    count: np.ndarray

    @cached_property
    def leaves(self) -> np.ndarray:
        """The indices of the nodes that are leaves, in ascending order."""
        return np.flatnonzero(self.left < 0)

    def paths(self, features: int) -> tuple[float, np.ndarray]:
        """Return the mean of the root, and what each feature adds on the path to each leaf.

        The mean of an inner node is the mean of the leaves below it, weighted by their counts. A
        split on a feature adds the mean of the child minus the mean of the parent (Saabas 2014).
        So the mean of the root plus all additions on a path is the value of the leaf.

        Args:
            features: number of columns that the tree may split on.

        Returns:
            the mean of the root, and the additions, shape (leaves, features).
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
    """Evaluate a fitted HistGradientBoostingClassifier of two classes on binned values.

    One pass over the trees gives the leaves of each row, and the leaves give the score. The bins
    are the bins of the fit, so a row reaches the same leaves as in `predict_proba`. The values of
    the leaves are added in the same order as in `predict_proba`, so the log-odds are equal bit for
    bit.
    """

    def __init__(self, model: HistGradientBoostingClassifier) -> None:
        """Take the fitted classifier. `base` is the log-odds before the first tree."""
        self._model = model
        self.base = float(np.ravel(model._baseline_prediction)[0])

    def leaves(self, encoded: np.ndarray) -> np.ndarray:
        """Return the leaf that each row reaches in each tree, shape (trees, rows).

        A leaf is given by its index in `Tree.leaves`.

        Args:
            encoded: rows as the model's predict_proba takes them, shape (rows, columns).
        """
        mapper = self._model._bin_mapper
        binned = mapper.transform(self._preprocessed(encoded))
        found = np.empty((len(self._leaf_predictors), len(encoded)), np.int32)
        for place, predictor in enumerate(self._leaf_predictors):
            found[place] = predictor.predict_binned(binned, mapper.missing_values_bin_idx_, 1)
        return found

    def log_odds(self, leaves: np.ndarray) -> np.ndarray:
        """Return the log-odds of default of each row, computed from its leaves, shape (rows,)."""
        found = np.full(leaves.shape[1], self.base)
        for tree, ends in zip(self.trees, leaves, strict=True):
            found += tree.value[tree.leaves][ends]
        return found

    @cached_property
    def trees(self) -> list[Tree]:
        """The trees of the classifier. A feature is given by its column index in `encoded`."""
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
        """The column indices of `encoded` in the order that the classifier uses internally.

        The classifier puts categories before numbers.
        """
        is_category = np.zeros(self._model.n_features_in_, dtype=bool)
        if self._model.is_categorical_ is not None:
            is_category = self._model.is_categorical_
        return np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])

    @cached_property
    def _leaf_predictors(self) -> list[TreePredictor]:
        """Copies of the trees in which the value of each leaf is the index of the leaf.

        A prediction with these copies returns leaf indices. This is fast, because scikit-learn
        predicts in C.
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
        """Return the same output as the classifier's preprocessor, but faster.

        Each code of a category is looked up in the table `_inner_codes`.
        """
        if self._model._preprocessor is None:
            return np.asarray(encoded, dtype=float)
        inner = np.asarray(encoded, dtype=float)[:, self._order]
        categories, unknown = self._inner_codes.shape[1], len(self._inner_codes) - 1
        for place in range(categories):
            codes = inner[:, place]
            is_known = codes < unknown  # also False for nan
            codes[~is_known] = unknown
            inner[:, place] = self._inner_codes[codes.astype(np.intp), place]
        return inner

    @cached_property
    def _inner_codes(self) -> np.ndarray:
        """The code that the preprocessor gives to each input code, shape (codes + 1, categories).

        The row index is the input code. The last row is for unknown codes and nan.
        """
        known = self._model._preprocessor.named_transformers_["encoder"].categories_
        highest = int(max(np.nanmax(codes, initial=0) for codes in known))
        raw = np.full((highest + 2, self._model.n_features_in_), np.nan)
        raw[:-1] = np.arange(highest + 1)[:, None]
        return np.asarray(self._model._preprocessor.transform(raw))[:, : len(known)]
