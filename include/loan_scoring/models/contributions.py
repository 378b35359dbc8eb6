"""Compute how much each feature adds to the log-odds of default, for every algorithm.

The base plus the contributions of all features equals the log-odds. The features with the largest
contributions become the reasons of an application.
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
from loan_scoring.models.layout import encoded_features
from loan_scoring.models.trees import BinnedBoosting, Tree
from loan_scoring.statistics.calibration import recalibrate

REASONS = ("reason_1", "reason_2", "reason_3", "reason_4")


class Contributions:
    """Split the log-odds that a fitted pipeline predicts into one contribution per feature."""

    def __init__(self, pipeline: Pipeline, features: list[str]) -> None:
        """Keep the fitted pipeline and separate its classifier from the calibration.

        Args:
            pipeline: fitted pipeline that `build_candidate` made.
            features: names of the columns that the pipeline reads, in order.
        """
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
        """The index of the feature behind each encoded column, shape (columns,)."""
        return np.array([self._features.index(name) for name in encoded_features(self._encode)])

    def probabilities(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return each row's probability of default, and the leaf that the row reaches in each tree.

        The probabilities equal the output of predict_proba. Pass the leaves to `by_feature`, so
        that `by_feature` does not evaluate the trees again. The leaves have shape (trees, rows). If
        the model is not scikit-learn's HistGradientBoostingClassifier, None is returned in place of
        the leaves.

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
        """Return the base, and the contribution of each feature to the log-odds of each row.

        Args:
            encoded: rows from the pipeline's first step, shape (rows, columns).
            leaves: leaves that `probabilities` returned for these rows. If None, the leaves are
                computed.

        Returns:
            the base and the contributions, shape (rows, features). The log-odds of a row are the
            base plus the sum of the row's contributions.
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
            # Contributions are measured from the mean of the encoded training rows, because the
            # reasons must tell how an application differs from the average application.
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
        """Return the base plus the means of all roots, and the contributions of encoded columns.

        The contributions of a row are summed over the paths to the row's leaves in all trees. The
        contributions have shape (rows, columns).
        """
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
        """The sum of the root means, the paths of all trees, and the offset of each tree.

        The paths are stacked, one row for each leaf of each tree. The offset of a tree is the
        index of the tree's first row in this stack.
        """
        paths = [tree.paths(len(self.feature_of_column)) for tree in self._trees]
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
    """Return a tree of XGBoost's JSON as a Tree. `count` is the sum of hessians of each node."""
    left = np.array(tree["left_children"])
    return Tree(
        left,
        np.array(tree["right_children"]),
        np.array(tree["split_indices"]),
        np.where(left < 0, np.array(tree["split_conditions"]), 0.0),
        np.array(tree["sum_hessian"]),
    )


def _in_log_odds(base: float, added: np.ndarray) -> tuple[float, np.ndarray]:
    """Convert the base and the contributions from probability to log-odds.

    The probability p of a row is the base plus the row's contributions. All contributions of the
    row are multiplied by (logit(p) - logit(base)) / (p - base), so that the converted base plus the
    converted contributions equals logit(p). If p is almost equal to the base, the factor is the
    derivative of logit at the base. p is kept slightly above 0 and below 1, because logit of 0 or 1
    is infinite.
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
    """Return the columns `reason_1` to `reason_4` for rows of applications.

    The reasons of a row are the labels of the features with the largest positive contributions,
    the largest first. If the value of a feature is null, its label is followed by "is missing".
    If a row has fewer than four positive contributions, its last reasons are null.

    Args:
        contract: contract with the labels of the columns.
        features: names of the columns that the model reads.
        contributions: contributions of the features to the log-odds, shape (rows, features).
        columns: values of the features for these rows.
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
        else:  # the model has fewer than four features
            reasons[name] = pa.nulls(len(order), pa.string())
    return reasons
