"""Our own estimators, held in skops files: XGBoost without pickle, and a calibrated classifier."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from loan_scoring.calibration import recalibrated


class XGBoost(ClassifierMixin, BaseEstimator):
    """Gradient boosting by XGBoost's histogram method, held as its own UBJSON bytes.

    One thread: the sums over histograms are then taken in one order on every machine. Null is
    missing, categories come as codes.
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
    ) -> None:
        """Take XGBoost's parameters by the names that its scikit-learn interface gives them."""
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.reg_lambda = reg_lambda
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to X, shape (rows, features), and outcomes 0 and 1, shape (rows,)."""
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
                if name not in ("n_estimators", "random_state")
            },
        }
        matrix = xgboost.QuantileDMatrix(np.asarray(X, dtype=np.float32), label=y, nthread=1)
        booster = xgboost.train(parameters, matrix, num_boost_round=self.n_estimators)
        self.ubj_ = bytes(booster.save_raw("ubj"))
        return self

    @property
    def booster(self) -> Any:
        """The booster, read from its bytes once."""
        if "_booster" not in self.__dict__:
            import xgboost

            self._booster = xgboost.Booster({"nthread": 1})
            self._booster.load_model(bytearray(self.ubj_))
        return self._booster

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of paid and default, shape (rows, 2)."""
        default = self.booster.inplace_predict(np.asarray(X, dtype=np.float32))
        return np.column_stack([1 - default, default]).astype(float)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the likelier outcome of each row, shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the booster out: its bytes say it all."""
        return {name: value for name, value in self.__dict__.items() if name != "_booster"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state back."""
        self.__dict__.update(state)


class Calibrated(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose log-odds are stretched and moved (Platt 1999).

    `slope` and `intercept` were fitted to predictions that the classifier's like made for loans
    it had not seen.
    """

    def __init__(self, classifier: Any, slope: float, intercept: float) -> None:
        """Take a classifier and the calibration of its log-odds."""
        self.classifier = classifier
        self.slope = slope
        self.intercept = intercept

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the classifier; slope and intercept stay what they were declared to be."""
        self.classifier.fit(X, y)
        self.classes_ = self.classifier.classes_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of paid and default, shape (rows, 2)."""
        default = recalibrated(self.classifier.predict_proba(X)[:, 1], self.slope, self.intercept)
        return np.column_stack([1 - default, default])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the likelier outcome of each row, shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])
