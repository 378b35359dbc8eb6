"""Base plus contributions is the log-odds: for all algorithms, calibration and nulls."""

from collections.abc import Callable
from functools import cache
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from scipy.special import logit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from loan_scoring.contract import Contract
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models import shapley
from loan_scoring.models.artifacts import TRUSTED, _skops, dump_estimator
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.shapley import ShapleyValues, shapley_values
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.trees import BinnedBoosting, trees_of_forest

TRIALS = [
    Trial("logistic_regression-1", 0, "logistic_regression", {"C": 1.0}),
    Trial("random_forest-1", 1, "random_forest", {"n_estimators": 20, "min_samples_leaf": 20}),
    Trial("hist_gradient_boosting-1", 2, "hist_gradient_boosting", {"max_iter": 30}),
    Trial("xgboost-1", 3, "xgboost", {"n_estimators": 300}),
]


@pytest.fixture(scope="module")
def loans(loan_default: Contract) -> tuple[list[str], pd.DataFrame, np.ndarray]:
    """Return features, matrix and outcomes of generated loans with nulls."""
    table = generate_loans(loan_default, 4000, 3)
    features = [column for column in loan_default.features if column.name != "application_year"]
    typed = {}
    for column in features:
        text = table.column(column.source).to_pandas().replace(["", *column.null_tokens], None)
        kind = float if column.is_numeric else object
        typed[column.name] = pa.array(text.astype(kind), from_pandas=True)
    names = list(typed)
    y = (table.column(loan_default.target.source).to_numpy(zero_copy_only=False) == "1").astype(int)
    return names, feature_frame(pa.table(typed), loan_default, names), y


@pytest.mark.parametrize("is_calibrated", [False, True])
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.algorithm)
def test_base_and_contributions_are_the_log_odds(
    loan_default: Contract, loans: tuple, trial: Trial, is_calibrated: bool
) -> None:
    names, X, y = loans
    pipeline = fit_pipeline(build_candidate(loan_default, names, trial), X, y)
    if is_calibrated:
        last = Calibrated(pipeline[-1], 0.8, -0.1)
        last.classes_ = pipeline[-1].classes_
        pipeline.steps[-1] = ("classify", last)
    new = X.head(500).copy()
    new.iloc[:50, new.columns.get_loc("loan_purpose")] = "never seen"
    new.iloc[50:60] = np.nan
    base, added = Contributions(pipeline, names).by_feature(np.asarray(pipeline[0].transform(new)))
    assert added.shape == (500, len(names))
    expected = logit(pipeline.predict_proba(new)[:, 1])
    tolerance = 1e-6 if trial.algorithm == "xgboost" else 1e-9  # its leaves are of 32 bits
    assert base + added.sum(axis=1) == pytest.approx(expected, abs=tolerance)
    assert (np.abs(added).max(axis=0) > 0).sum() > 5


def enumerated(worth: Callable[[tuple[int, ...]], np.ndarray], features: int) -> np.ndarray:
    """Return Shapley values by their definition: a weighted sum over all sets of features."""
    found = []
    for feature in range(features):
        others = [each for each in range(features) if each != feature]
        total = np.zeros_like(worth(()))
        for size in range(features):
            weight = factorial(size) * factorial(features - size - 1) / factorial(features)
            for known in combinations(others, size):
                gained = worth(tuple(sorted((*known, feature)))) - worth(known)
                total = total + weight * gained
        found.append(total)
    return np.column_stack(found)


def expected_of_tree(tree: Any, rows: np.ndarray, known: tuple[int, ...]) -> np.ndarray:
    """Return the mean probability of default of a tree of a forest, by its recursive definition."""

    def below(node: int) -> np.ndarray:
        left, right = tree.children_left[node], tree.children_right[node]
        if left < 0:
            return np.full(len(rows), tree.value[node, 0, 1])
        if tree.feature[node] in known:
            goes = rows[:, tree.feature[node]] <= tree.threshold[node]
            return np.where(goes, below(left), below(right))
        weights = tree.weighted_n_node_samples
        return (weights[left] * below(left) + weights[right] * below(right)) / weights[node]

    return below(0)


def test_values_of_one_leaf_are_those_of_all_sets() -> None:
    dice = np.random.default_rng(1)
    for features in (1, 2, 5, 8):
        meets = dice.integers(0, 2, (20, features))
        shares = dice.uniform(0.01, 1, features)

        def worth(known: tuple[int, ...], m: np.ndarray = meets, s: np.ndarray = shares) -> Any:
            return np.where([place in known for place in range(len(s))], m, s).prod(axis=1)

        expected = enumerated(worth, features)
        assert shapley_values(meets, shares) == pytest.approx(expected, abs=1e-12)


def test_xgboost_computes_the_same_contributions(loan_default: Contract, loans: tuple) -> None:
    names, X, y = loans
    pipeline = fit_pipeline(build_candidate(loan_default, names, TRIALS[3]), X, y)
    encoded = np.asarray(pipeline[0].transform(X.head(400)), dtype=np.float32)
    expected = pipeline[-1].booster.predict(xgboost.DMatrix(encoded), pred_contribs=True)
    ours = Contributions(pipeline, names)
    base, added = ours.by_feature(encoded)
    assert added[:, ours.feature_of_column] == pytest.approx(expected[:, :-1], abs=1e-4)
    assert base == pytest.approx(expected[0, -1], abs=1e-4)  # XGBoost adds in 32 bits


@pytest.mark.parametrize("is_forest", [False, True])
def test_contributions_are_those_of_all_sets_of_features(
    is_forest: bool,
) -> None:
    dice = np.random.default_rng(2)
    X = dice.normal(size=(1500, 5)).round(1)
    y = (X[:, 0] * X[:, 1] + X[:, 2] + dice.normal(size=1500) > 0).astype(int)
    rows = np.ascontiguousarray(X[:40], dtype=np.float32)
    model: Any
    if is_forest:
        model = RandomForestClassifier(15, min_samples_leaf=30, random_state=0).fit(X, y)
        ours = ShapleyValues(trees_of_forest(model).trees, 5)
        bins = trees_of_forest(model).bins(rows)
    else:
        model = HistGradientBoostingClassifier(max_iter=15, random_state=0).fit(X, y)
        boosting = BinnedBoosting(model)
        ours, bins = ShapleyValues(boosting.trees, 5), boosting.bins(X[:40])

    @cache
    def worth(known: tuple[int, ...]) -> np.ndarray:
        found = np.zeros(len(rows))
        features = np.array(known, dtype=np.intp)
        if is_forest:
            for each in model.estimators_:
                found += expected_of_tree(each.tree_, rows, known) / len(model.estimators_)
            return found
        if not known:
            return np.full(len(rows), sum(tree.mean for tree in boosting.trees))
        return np.ravel(model._compute_partial_dependence_recursion(X[:40][:, features], features))

    _, added = ours.by_column(np.tile(bins, (2, 1)))  # from tables
    expected = enumerated(worth, 5)
    assert added[:40] == pytest.approx(expected, abs=1e-6)
    assert ours.by_column(bins[:16])[1] == pytest.approx(added[:16], abs=1e-12)  # by the walk


def test_wide_trees_are_walked_and_give_the_same_values(
    loan_default: Contract, loans: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, X, y = loans
    pipeline = fit_pipeline(build_candidate(loan_default, names, TRIALS[2]), X, y)
    encoded = np.asarray(pipeline[0].transform(X.head(300)), dtype=float)
    of_tables = Contributions(pipeline, names).by_feature(encoded)[1]
    monkeypatch.setattr(shapley, "TABLE_BYTES", 10_000)
    assert Contributions(pipeline, names).by_feature(encoded)[1] == pytest.approx(
        of_tables, abs=1e-12
    )


def test_contributions_survive_the_artifact(loan_default: Contract, loans: tuple) -> None:
    names, X, y = loans
    pipeline = fit_pipeline(build_candidate(loan_default, names, TRIALS[0]), X, y)
    loaded = _skops().loads(dump_estimator(pipeline), trusted=list(TRUSTED))
    encoded = np.asarray(pipeline[0].transform(X.head(50)))
    for here, there in zip(
        Contributions(pipeline, names).by_feature(encoded),
        Contributions(loaded, names).by_feature(encoded),
        strict=True,
    ):
        assert np.array_equal(here, there)
