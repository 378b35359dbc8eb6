"""Read the trees of scikit-learn and XGBoost as arrays, with the bins that their splits divide.

`BinnedBoosting` also evaluates scikit-learn's boosted trees, on values that are binned once.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier


@dataclass(frozen=True)
class Tree:
    """A decision tree in a form that does not depend on the library that fitted it.

    All arrays have one element per node, shape (nodes,). Node 0 is the root, and every child comes
    after its parent. `left` and `right` are the indices of the children, or -1 at a leaf.
    `feature` is the column of the split. `value` is what a leaf adds to the score, and is not used
    for inner nodes. `count` is the weight of the node. The weight is the number of loans in the
    node, or the sum of the weights or hessians of these loans.

    A split sends bins to the left: those up to `last_bin`, or those that `levels` has for a split
    of a category. The last bin of a column is for nulls, and goes left where `null_goes_left` is
    True. `bins` is the number of bins of each column.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    count: np.ndarray
    last_bin: np.ndarray
    null_goes_left: np.ndarray
    bins: np.ndarray
    levels: dict[int, np.ndarray] = field(default_factory=dict)

    @cached_property
    def mean(self) -> float:
        """The mean of the leaves, weighted by the shares of loans on the paths to them."""
        mean = self.value.astype(float)
        for node in range(len(mean) - 1, -1, -1):
            left, right = self.left[node], self.right[node]
            if left >= 0:
                mean[node] = np.average(
                    mean[[left, right]], weights=self.count[[left, right]].astype(float)
                )
        return float(mean[0])

    def goes_left(self, node: int) -> np.ndarray:
        """Return for each bin of the split's column whether it goes to the left, shape (bins,)."""
        bins = self.bins[self.feature[node]]
        if node in self.levels:
            goes = self.levels[node][:bins].copy()
        else:
            goes = np.arange(bins) <= self.last_bin[node]
        goes[-1] = self.null_goes_left[node]
        return goes


class Thresholds:
    """Bins between the thresholds of trees, for libraries that do not bin values themselves."""

    def __init__(self, trees: list[Tree], thresholds: list[np.ndarray], *, is_below: bool) -> None:
        """Take trees whose `last_bin` and `bins` are not known, and the threshold of each node.

        Args:
            trees: trees, in which each value of `bins` is 0.
            thresholds: thresholds of each tree's nodes.
            is_below: whether a value must be below the threshold to go to the left. If False, a
                value that is equal to the threshold goes to the left too.
        """
        columns = len(trees[0].bins)
        features = np.concatenate([tree.feature[tree.left >= 0] for tree in trees])
        of_splits = np.concatenate(
            [each[tree.left >= 0] for tree, each in zip(trees, thresholds, strict=True)]
        )
        self._edges = [np.unique(of_splits[features == column]) for column in range(columns)]
        self._side: Literal["left", "right"] = "right" if is_below else "left"
        bins = np.array([len(edges) + 2 for edges in self._edges])
        self.trees = [
            replace(tree, last_bin=self._last_bins(tree, each), bins=bins)
            for tree, each in zip(trees, thresholds, strict=True)
        ]

    def _last_bins(self, tree: Tree, thresholds: np.ndarray) -> np.ndarray:
        return np.array(
            [
                np.searchsorted(self._edges[feature], threshold) if left >= 0 else 0
                for left, feature, threshold in zip(
                    tree.left, tree.feature, thresholds, strict=True
                )
            ]
        )

    def bins(self, encoded: np.ndarray) -> np.ndarray:
        """Return the bin of each value, shape (rows, columns).

        Values are compared in 32 bits, as XGBoost and scikit-learn's forest compare them.
        """
        found = np.empty(encoded.shape, np.intp)
        for column, edges in enumerate(self._edges):
            values = encoded[:, column].astype(np.float32).astype(edges.dtype)
            found[:, column] = np.searchsorted(edges, values, self._side)
            found[np.isnan(values), column] = len(edges) + 1
        return found


class BinnedBoosting:
    """Evaluate a fitted HistGradientBoostingClassifier of two classes on binned values.

    Values are binned once, for the score and for its Shapley values. The bins are the bins of the
    fit, and the trees are added in the same order as in `predict_proba`. So the log-odds are equal
    bit for bit.
    """

    def __init__(self, model: HistGradientBoostingClassifier) -> None:
        """Take the fitted classifier. `base` is the log-odds before the first tree."""
        self._model = model
        self.base = float(np.ravel(model._baseline_prediction)[0])

    def bins(self, encoded: np.ndarray) -> np.ndarray:
        """Return the bin of each value, shape (rows, columns), the columns in the model's order.

        Args:
            encoded: rows as the model's predict_proba takes them, shape (rows, columns).
        """
        return np.asarray(self._model._bin_mapper.transform(self._preprocessed(encoded)))

    def log_odds(self, bins: np.ndarray) -> np.ndarray:
        """Return the log-odds of default of each row, shape (rows,), from what `bins` returned."""
        found = np.full(len(bins), self.base)
        null = self._model._bin_mapper.missing_values_bin_idx_
        for (predictor,) in self._model._predictors:
            found += predictor.predict_binned(bins, null, 1)
        return found

    @cached_property
    def trees(self) -> list[Tree]:
        """The trees of the classifier. A feature is given by its place in the model's order."""
        bins = np.full(self._model.n_features_in_, self._model._bin_mapper.n_bins)
        made = []
        for (predictor,) in self._model._predictors:
            nodes = predictor.nodes
            is_leaf = nodes["is_leaf"].astype(bool)
            sets = predictor.binned_left_cat_bitsets
            made.append(
                Tree(
                    np.where(is_leaf, -1, nodes["left"].astype(int)),
                    np.where(is_leaf, -1, nodes["right"].astype(int)),
                    nodes["feature_idx"].astype(int),
                    nodes["value"],
                    nodes["count"],
                    nodes["bin_threshold"].astype(int),
                    nodes["missing_go_to_left"].astype(bool),
                    bins,
                    {
                        int(node): _members(sets[nodes["bitset_idx"][node]])
                        for node in np.flatnonzero(nodes["is_categorical"] & ~is_leaf)
                    },
                )
            )
        return made

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Return columns that are in the model's order, in the order of `encoded`."""
        found = np.empty_like(values)
        found[:, self._order] = values
        return found

    @cached_property
    def _order(self) -> np.ndarray:
        """The column indices of `encoded` in the order that the classifier uses internally.

        The classifier puts categories before numbers.
        """
        is_category = np.zeros(self._model.n_features_in_, dtype=bool)
        if self._model.is_categorical_ is not None:
            is_category = self._model.is_categorical_
        return np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])

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


def _members(words: np.ndarray) -> np.ndarray:
    """Return whether each bin is in a set that scikit-learn keeps as 8 words of 32 bits."""
    bins = np.arange(32 * len(words), dtype=np.uint32)
    return np.asarray((words[bins // 32] >> (bins % 32)) & 1 == 1)


def trees_of_forest(model: RandomForestClassifier) -> Thresholds:
    """Return the trees of a forest. The sum of their leaves is the probability of default."""
    count = len(model.estimators_)
    bins = np.zeros(model.n_features_in_, int)
    trees = [
        Tree(
            each.tree_.children_left,
            each.tree_.children_right,
            each.tree_.feature,
            each.tree_.value[:, 0, 1] / each.tree_.value[:, 0].sum(axis=1) / count,
            each.tree_.weighted_n_node_samples,
            np.zeros(0),
            each.tree_.missing_go_to_left.astype(bool),
            bins,
        )
        for each in model.estimators_
    ]
    thresholds = [each.tree_.threshold for each in model.estimators_]
    return Thresholds(trees, thresholds, is_below=False)


def trees_of_xgboost(found: list[dict[str, Any]], columns: int) -> Thresholds:
    """Return the trees of XGBoost's JSON. `count` is the sum of hessians of each node."""
    trees, thresholds = [], []
    for tree in found:
        left, split = np.array(tree["left_children"]), np.array(tree["split_conditions"])
        trees.append(
            Tree(
                left,
                np.array(tree["right_children"]),
                np.array(tree["split_indices"]),
                np.where(left < 0, split, 0.0),
                np.array(tree["sum_hessian"]),
                np.zeros(0),
                np.array(tree["default_left"]).astype(bool),
                np.zeros(columns, int),
            )
        )
        thresholds.append(split.astype(np.float32))
    return Thresholds(trees, thresholds, is_below=True)
