"""Define estimators that skops can store: XGBoost, calibration, and groups of rare levels."""

import json
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import OrdinalEncoder

from loan_scoring.statistics.calibration import recalibrate

TREES_AT_ONCE = 10


class XGBoost(ClassifierMixin, BaseEstimator):
    """Gradient boosting by XGBoost's histogram method.

    The fitted model is stored in XGBoost's own UBJSON format, so that no pickle is needed. XGBoost
    runs on one thread, so that histograms are summed in the same order on every machine. Missing
    values are nan, and categories are numeric codes.
    """

    def __init__(
        self,
        n_estimators: int = 300,
        learning_rate: float = 0.05,
        max_depth: int = 6,
        min_child_weight: float = 5.0,
        subsample: float = 0.8,
        colsample_bytree: float = 0.6,
        reg_lambda: float = 1.0,
        random_state: int = 0,
        monotone_constraints: list[int] | None = None,
    ) -> None:
        """Store the parameters, which are named as in XGBoost's scikit-learn interface.

        `monotone_constraints` has a number for each feature: 1 if a higher value must not lower the
        probability, -1 if it must not raise it, 0 without a constraint.
        """
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.reg_lambda = reg_lambda
        self.random_state = random_state
        self.monotone_constraints = monotone_constraints

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Fit the boosting and return the fitted estimator.

        Args:
            X: encoded features, shape (rows, features).
            y: outcomes, 1 for default, shape (rows,).
            sample_weight: weights of the rows, shape (rows,). If None, all count the same.
        """
        import xgboost

        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        parameters = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "nthread": 1,
            "seed": self.random_state,
            **{
                name: value
                for name, value in self.get_params().items()
                if name not in ("n_estimators", "random_state") and value is not None
            },
        }
        if self.monotone_constraints is not None:
            parameters["monotone_constraints"] = tuple(self.monotone_constraints)
        matrix = xgboost.QuantileDMatrix(
            np.asarray(X, dtype=np.float32), label=y, weight=sample_weight, nthread=1
        )
        booster = xgboost.train(parameters, matrix, num_boost_round=self.n_estimators)
        self.ubj_ = bytes(booster.save_raw("ubj"))
        return self

    @cached_property
    def booster(self) -> Any:
        """XGBoost's booster. The first access loads the booster from the stored bytes."""
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(self.ubj_))
        return booster

    @cached_property
    def base(self) -> float:
        """The log-odds of default from which the boosting starts, before the first tree."""
        learner = json.loads(self.booster.save_config())["learner"]
        found = json.loads(learner["learner_model_param"]["base_score"])
        return float(logit(np.ravel(found)[0]))

    def log_odds(self, X: np.ndarray) -> np.ndarray:
        """Return the log-odds of default, shape (rows,).

        XGBoost adds the values of trees in 32 bits, with an error of 5e-6 over 300 trees. So
        XGBoost adds only 10 trees at a time, and this method adds these sums in 64 bits. This
        is as fast as one call for all trees.
        """
        X = np.asarray(X, dtype=np.float32)
        found, nothing = np.full(len(X), self.base), np.zeros(len(X), dtype=np.float32)
        trees = self.booster.num_boosted_rounds()
        for first in range(0, trees if len(X) else 0, TREES_AT_ONCE):
            found += self.booster.inplace_predict(
                X,
                iteration_range=(first, min(first + TREES_AT_ONCE, trees)),
                predict_type="margin",
                base_margin=nothing,
            )
        return found

    def trees(self) -> list[dict[str, Any]]:
        """Return the trees as XGBoost writes them to JSON."""
        learner = json.loads(self.booster.save_raw("json"))["learner"]
        trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
        return trees

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of paid and default, shape (rows, 2)."""
        default = expit(self.log_odds(X))
        return np.column_stack([1 - default, default])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the more probable outcome of each row, shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without `booster` and `base`, because both can be read from `ubj_`."""
        return {
            name: value for name, value in vars(self).items() if name not in ("booster", "base")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state that `__getstate__` returned. Early versions had no constraints."""
        self.__dict__.update({"monotone_constraints": None} | state)


class Calibrated(ClassifierMixin, BaseEstimator):
    """A classifier with calibrated probabilities (Platt 1999).

    The calibrated log-odds are slope * log-odds + intercept. `slope` and `intercept` are fitted to
    out-of-fold predictions of classifiers with the same parameters.
    """

    def __init__(self, classifier: Any, slope: float, intercept: float) -> None:
        """Take a classifier, and the slope and intercept of the calibration."""
        self.classifier = classifier
        self.slope = slope
        self.intercept = intercept

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the classifier. Slope and intercept are not fitted here."""
        self.classifier.fit(X, y)
        self.classes_ = self.classifier.classes_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of paid and default, shape (rows, 2)."""
        default = recalibrate(self.classifier.predict_proba(X)[:, 1], self.slope, self.intercept)
        return np.column_stack([1 - default, default])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the more probable outcome of each row, shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class LevelGrouper(OrdinalEncoder):
    """An OrdinalEncoder whose group of rare levels also takes the levels that it has not seen.

    If no level was rare in the fit, there is no group, and an unseen level is `unknown_value`.
    """

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Return the codes of levels, shape (rows, columns). A null stays nan."""
        grouped = X.copy()
        for place, rare in enumerate(self.infrequent_categories_):
            if rare is not None:
                levels = X.iloc[:, place]
                is_known = levels.isna() | levels.isin(self.categories_[place])
                grouped.isetitem(place, levels.where(is_known, rare[0]).to_numpy())
        return np.asarray(super().transform(grouped))
