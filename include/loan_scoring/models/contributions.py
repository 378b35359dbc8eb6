"""Compute how much each feature adds to the log-odds of default, for every algorithm.

The base plus the contributions of all features equals the log-odds. Contributions are exact Shapley
values. The features with the largest contributions become the reasons of an application.
"""

from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.models.estimators import Calibrated, XGBoost
from loan_scoring.models.layout import encoded_features
from loan_scoring.models.mean_of_two import MeanOfTwo, plain_log_odds
from loan_scoring.models.shapley import ShapleyValues
from loan_scoring.models.trees import BinnedBoosting, Thresholds, trees_of_forest, trees_of_xgboost
from loan_scoring.statistics.calibration import recalibrate


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
        of_parts = last.parts() if isinstance(last, MeanOfTwo) else [(last, slice(None))]
        self._is_calibrated = last is not self._whole
        self._parts = [_Part(classifier, columns) for classifier, columns in of_parts]
        self._encode = pipeline[0]
        self._features = features

    @cached_property
    def feature_of_column(self) -> np.ndarray:
        """The index of the feature behind each encoded column, shape (columns,)."""
        return np.array([self._features.index(name) for name in encoded_features(self._encode)])

    def probabilities(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return each row's probability of default, and the bins of the row's values.

        The probabilities equal the output of predict_proba. Pass the bins to `by_feature`, so that
        `by_feature` does not find them again. If the model does not predict from bins, as only
        scikit-learn's HistGradientBoostingClassifier does, None is returned in their place.

        Args:
            encoded: rows from the pipeline's first step, shape (rows, columns).
        """
        if all(part.boosting is None for part in self._parts):
            return np.asarray(self._whole.predict_proba(encoded)[:, 1]), None
        bins = self._bins(encoded)
        several = zip(self._parts, self._of_parts(bins), strict=True)
        found = expit(sum(part.log_odds(encoded, own) for part, own in several) / len(self._parts))
        if self._is_calibrated:
            found = recalibrate(found, self._slope, self._intercept)
        return np.asarray(found), bins

    def _bins(self, encoded: np.ndarray) -> np.ndarray:
        """Return the bins of all parts side by side, shape (rows, columns)."""
        found = [part.bins(encoded) for part in self._parts]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def _of_parts(self, bins: np.ndarray) -> list[np.ndarray]:
        """Return the bins of each part, from the bins of all."""
        if len(self._parts) == 1:
            return [bins]
        return np.split(bins, np.cumsum([part.binned for part in self._parts])[:-1], axis=1)

    def by_feature(
        self, encoded: np.ndarray, bins: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """Return the base, and the contribution of each feature to the log-odds of each row.

        Args:
            encoded: rows from the pipeline's first step, shape (rows, columns).
            bins: bins that `probabilities` returned for these rows. If None, they are computed.

        Returns:
            the base and the contributions, shape (rows, features). The log-odds of a row are the
            base plus the sum of the row's contributions.
        """
        own = self._of_parts(self._bins(encoded) if bins is None else bins)
        several = [
            part.by_column(encoded, each) for part, each in zip(self._parts, own, strict=True)
        ]
        base = sum(base for base, _ in several) / len(several)
        columns = np.concatenate([found for _, found in several], axis=1) / len(several)
        added = np.zeros((len(encoded), len(self._features)))
        for column, place in enumerate(self.feature_of_column):
            added[:, place] += columns[:, column]
        return base * self._slope + self._intercept, added * self._slope


class _Part:
    """Split the log-odds of one classifier into one contribution per encoded column."""

    def __init__(self, classifier: Any, columns: slice) -> None:
        """Take a fitted classifier and which encoded columns it reads."""
        self._classifier = classifier
        self._columns = columns

    @property
    def binned(self) -> int:
        """The number of columns that `bins` returns."""
        return 0 if self.boosting is None else int(self._classifier.n_features_in_)

    def bins(self, encoded: np.ndarray) -> np.ndarray:
        """Return the bins of the rows, shape (rows, columns). Only boosting by bins has columns."""
        if self.boosting is None:
            return np.empty((len(encoded), 0), dtype=np.uint8)
        return self.boosting.bins(encoded[:, self._columns])

    def log_odds(self, encoded: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """Return the log-odds of default of each row, shape (rows,)."""
        if self.boosting is None:
            return plain_log_odds(self._classifier, encoded[:, self._columns])
        return self.boosting.log_odds(bins)

    def by_column(self, encoded: np.ndarray, bins: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the base, and the contribution of each column, shape (rows, columns)."""
        model: Any = self._classifier
        encoded = encoded[:, self._columns]
        if isinstance(model, LogisticRegression):
            # Contributions are measured from the mean of the encoded training rows, because the
            # reasons must tell how an application differs from the average application. These are
            # the Shapley values of a linear model.
            base = float(model.intercept_[0] + model.coef_[0] @ model.means_)
            return base, (encoded - model.means_) * model.coef_[0]
        if self.boosting is not None:
            base, added = self._shapley.by_column(bins)
            return self.boosting.base + base, self.boosting.in_order(added)
        base, added = self._shapley.by_column(self._thresholds.bins(encoded))
        if isinstance(model, XGBoost):
            return model.base + base, added
        return _in_log_odds(base, added)

    @cached_property
    def boosting(self) -> BinnedBoosting | None:
        """The classifier on binned values, or None if it does not predict from bins."""
        model = self._classifier
        return BinnedBoosting(model) if isinstance(model, HistGradientBoostingClassifier) else None

    @cached_property
    def _shapley(self) -> ShapleyValues:
        boosting = self.boosting
        trees = self._thresholds.trees if boosting is None else boosting.trees
        return ShapleyValues(trees, self._classifier.n_features_in_)

    @cached_property
    def _thresholds(self) -> Thresholds:
        model = self._classifier
        if isinstance(model, XGBoost):
            return trees_of_xgboost(model.trees(), model.n_features_in_)
        if isinstance(model, RandomForestClassifier):
            return trees_of_forest(model)
        raise TypeError(f"no contributions of {type(model).__name__}")


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
