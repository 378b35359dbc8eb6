"""What each input adds to a score, for every algorithm: base + contributions = log-odds.

The largest contributions are an application's reasons.
"""

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.models.encoding import Columns
from loan_scoring.models.estimators import Calibrated, XGBoost
from loan_scoring.models.trees import BinnedBoosting, Tree
from loan_scoring.statistics.calibration import recalibrate

REASONS = ("reason_1", "reason_2", "reason_3", "reason_4")


class Contributions:
    """Splits the log-odds of a fitted pipeline into what each of its features adds."""

    def __init__(self, pipeline: Pipeline, features: list[str]) -> None:
        """Take a fitted pipeline of `build_candidate`, and its features."""
        self._whole = last = pipeline[-1]
        self._slope, self._intercept = 1.0, 0.0
        if isinstance(last, Calibrated):
            self._slope, self._intercept = last.slope, last.intercept
            last = last.classifier
        self._classifier = last
        self._encode = pipeline[0]
        self._features = features

    @cached_property
    def feature_of_column(self) -> np.ndarray:
        """The place of each encoded column's feature, shape (columns,)."""
        places = []
        for name in self._encode.get_feature_names_out():
            column = name.split("__", 1)[1]
            candidates = [feature for feature in self._features if _is_of(column, feature)]
            places.append(self._features.index(max(candidates, key=len)))
        return np.array(places)

    def probabilities(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return each row's probability of default, equal to predict_proba, and its leaves.

        The leaves are those of boosted trees, shape (trees, rows), and None for other models; pass
        them to `by_feature`, so that the trees are walked once.

        Args:
            encoded: rows from the pipeline's first step, shape (rows, columns).
        """
        if self._boosting is None:
            return np.asarray(self._whole.predict_proba(encoded)[:, 1]), None
        leaves = self._boosting.leaves(encoded)
        found = expit(self._boosting.log_odds(leaves))
        if self._whole is not self._classifier:
            found = recalibrate(found, self._slope, self._intercept)
        return np.asarray(found), leaves

    def by_feature(
        self, encoded: np.ndarray, leaves: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """Return the base, and what each feature adds to each row's log-odds.

        Args:
            encoded: rows from the pipeline's first step, shape (rows, columns).
            leaves: of these rows, if `probabilities` has returned them.

        Returns:
            base, and an array of shape (rows, features): base plus a row's sum is its log-odds.
        """
        base, columns = self._by_column(encoded, leaves)
        added = np.zeros((len(encoded), len(self._features)))
        for column, place in enumerate(self.feature_of_column):
            added[:, place] += columns[:, column]
        return base * self._slope + self._intercept, added * self._slope

    def _by_column(
        self, encoded: np.ndarray, leaves: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        model: Any = self._classifier
        if isinstance(model, LogisticRegression):
            # At the mean of the encoded training rows, every input adds 0.
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
        """Return base plus all roots, and the sum of each row's paths, shape (rows, columns)."""
        roots, table, offsets = self._paths
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
    def _paths(self) -> tuple[float, np.ndarray, np.ndarray]:
        """The sum of the roots, the paths to the leaves of all trees, each tree's first row."""
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
            return [_tree_of_xgboost(tree) for tree in model.trees()]
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


def _tree_of_xgboost(tree: dict[str, Any]) -> Tree:
    """Return a tree of XGBoost's JSON; a node's count is its sum of hessians."""
    left = np.array(tree["left_children"])
    return Tree(
        left,
        np.array(tree["right_children"]),
        np.array(tree["split_indices"]),
        np.where(left < 0, np.array(tree["split_conditions"]), 0.0),
        np.array(tree["sum_hessian"]),
    )


def _is_of(column: str, feature: str) -> bool:
    return column == feature or column.startswith(f"{feature}_")


def _in_log_odds(base: float, added: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale additions to a probability so that they add up to its log-odds.

    Each row has one factor: the distance in log-odds over the distance in probability. Where the
    distance is 0, the factor is its limit, the slope of the log-odds at the base.
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


def top_reasons(
    contract: Contract, features: list[str], contributions: np.ndarray, columns: Columns
) -> dict[str, pa.Array]:
    """Return the reasons of each row: labels of the largest positive contributions, largest first.

    The label of a null value has "is missing" behind it. With fewer than four positive
    contributions, the last reasons are null.

    Args:
        contract: the labels.
        features: the columns that the model reads.
        contributions: what each adds to each row's log-odds, shape (rows, features).
        columns: the same rows' values.
    """
    labels = [contract.by_name[name].label for name in features]
    texts = pa.array([*labels, *(f"{label} is missing" for label in labels)], pa.string())
    order = np.argsort(-contributions, axis=1, kind="stable")[:, : len(REASONS)]
    largest = np.take_along_axis(contributions, order, axis=1)
    is_null = np.column_stack([columns.is_null(name) for name in features])
    place = order + len(features) * np.take_along_axis(is_null, order, axis=1)
    reasons = {}
    for nth, name in enumerate(REASONS):
        if nth < order.shape[1]:
            reasons[name] = texts.take(pa.array(place[:, nth], mask=largest[:, nth] <= 0))
        else:  # the model has fewer features than there are reasons
            reasons[name] = pa.nulls(len(order), pa.string())
    return reasons
