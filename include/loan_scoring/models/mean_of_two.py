"""Define the mean of two classifiers, which skops can store."""

from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from loan_scoring.models.estimators import XGBoost


class MeanOfTwo(ClassifierMixin, BaseEstimator):
    """A classifier whose log-odds of default are the mean of those of two classifiers.

    Each classifier has its own encoded columns, those of the first one on the left. The mean of
    log-odds is used, not of probabilities, because contributions to log-odds then have a mean too,
    and stay exact. If neither probability falls where a value rises, nor does the result.
    """

    def __init__(self, first: Any, second: Any) -> None:
        """Take two unfitted classifiers with log-odds, so no forest."""
        self.first = first
        self.second = second

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        first_columns: int,
    ) -> Self:
        """Fit both classifiers and return the fitted estimator.

        Args:
            X: encoded features for both, shape (rows, columns).
            y: outcomes, 1 for default, shape (rows,).
            sample_weight: weights of the rows, shape (rows,). If None, all count the same.
            first_columns: number of columns on the left that belong to the first classifier.
        """
        self.first_columns_ = first_columns
        self.n_features_in_ = X.shape[1]
        self.classes_ = np.unique(y)
        for classifier, columns in self.parts():
            classifier.fit(X[:, columns], y, sample_weight=sample_weight)
            if isinstance(classifier, LogisticRegression):
                classifier.means_ = X[:, columns].mean(axis=0)  # as in `fit_pipeline`
        return self

    def parts(self) -> list[tuple[Any, slice]]:
        """Return both classifiers, each with its encoded columns."""
        cut = self.first_columns_
        return [(self.first, slice(0, cut)), (self.second, slice(cut, self.n_features_in_))]

    def log_odds(self, X: np.ndarray) -> np.ndarray:
        """Return the log-odds of default, shape (rows,)."""
        X = np.asarray(X, dtype=float)
        first, second = (plain_log_odds(each, X[:, columns]) for each, columns in self.parts())
        return np.asarray((first + second) / 2)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of paid and default, shape (rows, 2)."""
        default = expit(self.log_odds(X))
        return np.column_stack([1 - default, default])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the more probable outcome of each row, shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


def plain_log_odds(classifier: Any, X: np.ndarray) -> np.ndarray:
    """Return the log-odds of default by a fitted classifier that is no mean, shape (rows,)."""
    if isinstance(classifier, XGBoost):
        return np.asarray(classifier.log_odds(X))
    return np.asarray(classifier.decision_function(X))
