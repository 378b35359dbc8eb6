"""The numbers behind a card's plots equal those of independent implementations."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from threadpoolctl import threadpool_limits

from loan_scoring.models.encoding import Columns
from loan_scoring.models.training import evaluation


@pytest.fixture(scope="module")
def judged() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    probability = random.beta(1.2, 5, 4000)
    return (random.random(4000) < probability).astype(int), probability


def test_area_under_the_points_is_the_auc(judged: tuple) -> None:
    points = np.array(evaluation.roc_points(*judged))
    assert points[0][0] == 0
    assert points[-1].tolist() == [1, 1]
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(
        roc_auc_score(*judged), abs=2e-3
    )


def test_deciles_are_those_of_scikit_learn(judged: tuple) -> None:
    found = evaluation.calibration_deciles(*judged)
    observed, predicted = calibration_curve(*judged, n_bins=10, strategy="quantile")
    assert [part["rows"] for part in found] == [400] * 10
    assert [part["predicted"] for part in found] == pytest.approx(predicted, abs=1e-3)
    assert [part["observed"] for part in found] == pytest.approx(observed, abs=5e-3)
    assert all(part["low"] <= part["observed"] <= part["high"] for part in found)


def test_histogram_holds_every_loan_once(judged: tuple) -> None:
    y, _ = judged
    found = evaluation.score_histogram(y, np.where(y == 1, 1.0, 0.0))
    assert (found["paid"][0], found["defaulted"][-1]) == ((y == 0).sum(), y.sum())
    assert sum(found["paid"]) + sum(found["defaulted"]) == len(y)


@pytest.mark.parametrize(
    ("encode", "classifier"),
    [
        (OrdinalEncoder(), HistGradientBoostingClassifier(max_iter=30, random_state=1)),
        (OneHotEncoder(sparse_output=False), LogisticRegression()),
    ],
)
def test_importance_is_that_of_scikit_learn(encode: Any, classifier: Any) -> None:
    random = np.random.default_rng(2)
    X = pd.DataFrame(random.normal(size=(3000, 3)), columns=["strong", "weak", "idle"])
    X["kind"] = random.choice(["a", "b", "c"], 3000)
    odds = 2 * X["strong"] + 0.5 * X["weak"] + 1.5 * (X["kind"] == "c") - 1
    y = (random.random(3000) < 1 / (1 + np.exp(-odds))).astype(int).to_numpy()
    features = list(X.columns)
    transform = ColumnTransformer(
        [("numbers", "passthrough", features[:3]), ("categories", encode, ["kind"])]
    )
    model = Pipeline([("encode", transform), ("classify", classifier)]).fit(X, y)
    codes, levels = pd.factorize(X["kind"])
    columns = Columns(
        3000,
        {name: X[name].to_numpy() for name in features[:3]},
        {"kind": np.array([*levels], dtype=object)},
        {"kind": codes},
    )
    found = evaluation.permutation_importance(model, features, columns, y, seed=3)
    with threadpool_limits(limits=1):  # threads wait for each other on a busy machine
        own = permutation_importance(model, X, y, scoring="roc_auc", n_repeats=20, random_state=4)
    assert [each["feature"] for each in found["features"]] == ["strong", "kind", "weak", "idle"]
    for each in found["features"]:
        place = features.index(each["feature"])
        noise = np.hypot(own.importances_std[place] / 20**0.5, each["deviation"] / 5**0.5)
        assert abs(each["mean"] - own.importances_mean[place]) < 4 * noise + 1e-4


def test_calibration_that_does_not_exist_is_json() -> None:
    found = evaluation.finite_calibration(np.array([0, 1] * 50), np.full(100, 0.2))
    assert json.loads(json.dumps(found)) == {
        "slope": None, "intercept": None, "standard_error": None,
    }  # fmt: skip
