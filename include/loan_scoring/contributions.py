"""What each input adds to a score: base + contributions = log-odds, for every kind of candidate."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.estimators import Calibrated, XGBoost


@dataclass(frozen=True)
class Tree:
    """A decision tree: what it says at each node, how many loans it was learned on there.

    All shapes (nodes,). `left` and `right` are -1 at a leaf. The root is node 0, and a child
    comes after its parent.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    count: np.ndarray

    @cached_property
    def leaves(self) -> np.ndarray:
        """The leaves' nodes, in their order."""
        return np.flatnonzero(self.left < 0)

    def paths(self, features: int) -> tuple[float, np.ndarray]:
        """Return what the root says, and what each feature's splits add on the way to each leaf.

        An inner node says the mean of its leaves, weighted by their loans; a split on a feature
        adds the child's word less the parent's (Saabas 2014). Root and path sum to the leaf.

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


class Contributions:
    """Splits the log-odds of a fitted pipeline into what each of its features adds."""

    def __init__(self, pipeline: Pipeline, features: list[str]) -> None:
        """Take a pipeline of `candidates.build`, fitted, and its features."""
        last = pipeline[-1]
        self._slope, self._intercept = 1.0, 0.0
        if isinstance(last, Calibrated):
            self._slope, self._intercept = last.slope, last.intercept
            last = last.classifier
        self._classifier = last
        self._encode = pipeline[0]
        self._features = features

    @cached_property
    def place(self) -> np.ndarray:
        """The place among the features of each encoded column, shape (columns,)."""
        order = []
        for name in self._encode.get_feature_names_out():
            column = name.split("__", 1)[1]
            told = [feature for feature in self._features if _is_of(column, feature)]
            order.append(self._features.index(max(told, key=len)))
        return np.array(order)

    def of(self, encoded: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the base, and what each feature adds to each row's log-odds.

        Args:
            encoded: rows as the pipeline's first step gives them, shape (rows, columns).

        Returns:
            base, and an array of shape (rows, features): base plus a row's sum is its log-odds.
        """
        base, columns = self._by_column(encoded)
        by_feature = np.zeros((len(encoded), len(self._features)))
        for column, place in enumerate(self.place):
            by_feature[:, place] += columns[:, column]
        return base * self._slope + self._intercept, by_feature * self._slope

    def _by_column(self, encoded: np.ndarray) -> tuple[float, np.ndarray]:
        model: Any = self._classifier
        if isinstance(model, XGBoost):
            return self._of_trees(model.base, encoded)
        if isinstance(model, LogisticRegression):
            # The encoded mean of the training rows is where every input adds nothing.
            base = float(model.intercept_[0] + model.coef_[0] @ model.means_)
            return base, (encoded - model.means_) * model.coef_[0]
        if isinstance(model, HistGradientBoostingClassifier):
            return self._of_trees(float(np.ravel(model._baseline_prediction)[0]), encoded)
        if isinstance(model, RandomForestClassifier):
            base, added = self._of_trees(0.0, encoded)
            return _in_log_odds(base, added)
        raise TypeError(f"no contributions of {type(model).__name__}")

    def _of_trees(self, base: float, encoded: np.ndarray) -> tuple[float, np.ndarray]:
        roots, table, offsets = self._table
        leaves = self._leaves(encoded) + offsets
        rows, trees = leaves.shape
        hits = sparse.csr_matrix(
            (np.ones(leaves.size), leaves.ravel(), np.arange(0, leaves.size + 1, trees)),
            shape=(rows, len(table)),
        )
        return base + roots, hits @ table

    @cached_property
    def _table(self) -> tuple[float, np.ndarray, np.ndarray]:
        """The roots' sum, the paths to the leaves of all trees, and where each tree's begin."""
        paths = [tree.paths(self._encode.get_feature_names_out().size) for tree in self._trees]
        sizes = [len(path) for _, path in paths]
        return (
            sum(root for root, _ in paths),
            np.concatenate([path for _, path in paths]),
            np.concatenate([[0], np.cumsum(sizes)[:-1]]),
        )

    @cached_property
    def _trees(self) -> list[Tree]:
        model = self._classifier
        if isinstance(model, RandomForestClassifier):
            count = len(model.estimators_)
            return [
                Tree(
                    each.tree_.children_left,
                    each.tree_.children_right,
                    each.tree_.feature,
                    each.tree_.value[:, 0, 1] / each.tree_.value[:, 0].sum(axis=1) / count,
                    each.tree_.weighted_n_node_samples,
                )
                for each in model.estimators_
            ]
        if isinstance(model, XGBoost):
            return [_tree_of_xgboost(told) for told in model.trees()]
        # It puts what it was told to be categories before the numbers, for itself.
        is_category = np.zeros(model.n_features_in_, dtype=bool)
        if model.is_categorical_ is not None:
            is_category = model.is_categorical_
        order = np.concatenate([np.flatnonzero(is_category), np.flatnonzero(~is_category)])
        made = []
        for (predictor,) in model._predictors:
            nodes = predictor.nodes
            is_leaf = nodes["is_leaf"].astype(bool)
            made.append(
                Tree(
                    np.where(is_leaf, -1, nodes["left"].astype(int)),
                    np.where(is_leaf, -1, nodes["right"].astype(int)),
                    order[nodes["feature_idx"].astype(int)],
                    nodes["value"],
                    nodes["count"],
                )
            )
        return made

    def _leaves(self, encoded: np.ndarray) -> np.ndarray:
        """Return which leaf of each tree, in their order, a row ends in, shape (rows, trees)."""
        model = self._classifier
        if not isinstance(model, HistGradientBoostingClassifier):
            ends = model.apply(encoded)
            return np.column_stack(
                [
                    np.searchsorted(tree.leaves, ends[:, place])
                    for place, tree in enumerate(self._trees)
                ]
            )
        X = model._preprocess_X(encoded, reset=False)
        bitsets, places = model._bin_mapper.make_known_categories_bitsets()
        leaves = np.empty((len(X), len(self._markers)), np.int64)
        for place, marker in enumerate(self._markers):
            leaves[:, place] = marker.predict(X, bitsets, places, 1)
        return leaves

    @cached_property
    def _markers(self) -> list[TreePredictor]:
        """The boosted trees, each leaf saying its own number: they are walked in C so."""
        made = []
        for (predictor,) in self._classifier._predictors:
            nodes = predictor.nodes.copy()
            is_leaf = nodes["is_leaf"].astype(bool)
            nodes["value"][is_leaf] = np.arange(is_leaf.sum())
            made.append(
                TreePredictor(
                    nodes, predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets
                )
            )
        return made


def _tree_of_xgboost(told: dict[str, Any]) -> Tree:
    """Return a tree as XGBoost writes it; a loan weighs what its gradient's slope was there."""
    left = np.array(told["left_children"])
    return Tree(
        left,
        np.array(told["right_children"]),
        np.array(told["split_indices"]),
        np.where(left < 0, np.array(told["split_conditions"]), 0.0),
        np.array(told["sum_hessian"]),
    )


def _is_of(column: str, feature: str) -> bool:
    return column == feature or column.startswith(f"{feature}_")


def _in_log_odds(base: float, added: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale what is added to a probability so that it adds up to log-odds.

    Each row's by one factor: the log-odds' distance over the probability's, and where that is
    nothing its limit, the slope of the log-odds at the base.
    """
    low = min(base, 1 - base) * 1e-9
    ends = np.clip(base + added.sum(axis=1), low, 1 - low)
    distance = ends - base
    near = np.abs(distance) < 1e-9
    factor = np.where(
        near,
        1 / (base * (1 - base)),
        (logit(ends) - logit(base)) / np.where(near, 1, distance),
    )
    return float(logit(base)), added * factor[:, None]
