"""What each input adds to a score: base + contributions = log-odds, for every kind of candidate."""

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.models.boosting import BinnedBoosting
from loan_scoring.models.estimators import Calibrated, XGBoost
from loan_scoring.models.trees import Tree
from loan_scoring.statistics.calibration import recalibrate


class Contributions:
    """Splits the log-odds of a fitted pipeline into what each of its features adds."""

    def __init__(self, pipeline: Pipeline, features: list[str]) -> None:
        """Take a pipeline of `candidates.build`, fitted, and its features."""
        self._whole = last = pipeline[-1]
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

    def probabilities(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return each row's probability of default, that of predict_proba, and its leaves.

        Leaves, for `of`, are those of boosted trees, shape (trees, rows): they give the score.

        Args:
            encoded: rows as the pipeline's first step gives them, shape (rows, columns).
        """
        if self._boosting is None:
            return np.asarray(self._whole.predict_proba(encoded)[:, 1]), None
        leaves = self._boosting.leaves(encoded)
        found = expit(self._boosting.log_odds(leaves))
        if self._whole is not self._classifier:
            found = recalibrate(found, self._slope, self._intercept)
        return np.asarray(found), leaves

    def of(self, encoded: np.ndarray, leaves: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Return the base, and what each feature adds to each row's log-odds.

        Args:
            encoded: rows as the pipeline's first step gives them, shape (rows, columns).
            leaves: of these rows, where `probabilities` has found them.

        Returns:
            base, and an array of shape (rows, features): base plus a row's sum is its log-odds.
        """
        base, columns = self._by_column(encoded, leaves)
        by_feature = np.zeros((len(encoded), len(self._features)))
        for column, place in enumerate(self.place):
            by_feature[:, place] += columns[:, column]
        return base * self._slope + self._intercept, by_feature * self._slope

    def _by_column(
        self, encoded: np.ndarray, leaves: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        model: Any = self._classifier
        if isinstance(model, LogisticRegression):
            # The encoded mean of the training rows is where every input adds nothing.
            base = float(model.intercept_[0] + model.coef_[0] @ model.means_)
            return base, (encoded - model.means_) * model.coef_[0]
        if self._boosting is not None:
            found = self._boosting.leaves(encoded) if leaves is None else leaves
            return self._of_trees(self._boosting.base, found)
        ends = model.apply(encoded).T
        found = np.stack(
            [np.searchsorted(tree.leaves, end) for tree, end in zip(self._trees, ends, strict=True)]
        )
        if isinstance(model, XGBoost):
            return self._of_trees(model.base, found)
        base, added = self._of_trees(0.0, found)
        return _in_log_odds(base, added)

    def _of_trees(self, base: float, leaves: np.ndarray) -> tuple[float, np.ndarray]:
        """Look the paths to leaves up and add them, base plus roots, shape (rows, columns)."""
        roots, table, offsets = self._table
        trees, rows = leaves.shape
        hits = sparse.csr_matrix(
            (
                np.ones(leaves.size),
                (leaves + offsets[:, None]).T.ravel(),
                np.arange(0, leaves.size + 1, trees),
            ),
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
            np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32),
        )

    @cached_property
    def _boosting(self) -> BinnedBoosting | None:
        model = self._classifier
        return BinnedBoosting(model) if isinstance(model, HistGradientBoostingClassifier) else None

    @cached_property
    def _trees(self) -> list[Tree]:
        model = self._classifier
        if self._boosting is not None:
            return self._boosting.trees
        if isinstance(model, XGBoost):
            return [_tree_of_xgboost(told) for told in model.trees()]
        if not isinstance(model, RandomForestClassifier):
            raise TypeError(f"no contributions of {type(model).__name__}")
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
