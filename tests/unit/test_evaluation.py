"""The numbers behind a card's plots are those of independent implementations."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from loan_scoring import evaluation


@pytest.fixture(scope="module")
def judged() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    probability = random.beta(1.2, 5, 4000)
    return (random.random(4000) < probability).astype(int), probability


def test_area_under_the_points_is_the_auc(judged: tuple) -> None:
    points = np.array(evaluation.roc(*judged))
    assert points[0][0] == 0
    assert points[-1].tolist() == [1, 1]
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(
        roc_auc_score(*judged), abs=2e-3
    )


def test_deciles_are_those_of_scikit_learn(judged: tuple) -> None:
    found = evaluation.deciles(*judged)
    observed, predicted = calibration_curve(*judged, n_bins=10, strategy="quantile")
    assert [part["rows"] for part in found] == [400] * 10
    assert [part["predicted"] for part in found] == pytest.approx(predicted, abs=1e-3)
    assert [part["observed"] for part in found] == pytest.approx(observed, abs=5e-3)
    assert all(part["low"] <= part["observed"] <= part["high"] for part in found)


def test_histogram_holds_every_loan_once(judged: tuple) -> None:
    y, _ = judged
    found = evaluation.histogram(y, np.where(y == 1, 1.0, 0.0))
    assert (found["paid"][0], found["defaulted"][-1]) == ((y == 0).sum(), y.sum())
    assert sum(found["paid"]) + sum(found["defaulted"]) == len(y)


def test_importance_is_the_auc_lost_by_shuffling() -> None:
    random = np.random.default_rng(2)
    X = pd.DataFrame(random.normal(size=(3000, 3)), columns=["strong", "weak", "idle"])
    y = (random.random(3000) < 1 / (1 + np.exp(1 - 2 * X["strong"] - 0.5 * X["weak"]))).astype(int)
    model = Pipeline([("logistic", LogisticRegression())]).fit(X, y)
    found = evaluation.importance(model, X, np.asarray(y), seed=3)
    assert [each["feature"] for each in found["features"]] == ["strong", "weak", "idle"]
    own = []
    for _ in range(5):
        mixed = X.assign(strong=random.permutation(X["strong"]))
        own.append(
            roc_auc_score(y, model.predict_proba(X)[:, 1])
            - roc_auc_score(y, model.predict_proba(mixed)[:, 1])
        )
    assert found["features"][0]["mean"] == pytest.approx(np.mean(own), abs=0.02)
    assert abs(found["features"][2]["mean"]) < 0.005


def test_calibration_that_does_not_exist_is_json() -> None:
    found = evaluation.finite_calibration(np.array([0, 1] * 50), np.full(100, 0.2))
    assert json.loads(json.dumps(found)) == {
        "slope": None, "intercept": None, "standard_error": None,
    }  # fmt: skip
