"""Base plus contributions is the log-odds: for all algorithms, calibration and nulls."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import logit

from loan_scoring.contract import Contract
from loan_scoring.lab.synthetic import generate_loans
from loan_scoring.models.artifacts import TRUSTED, _skops, dump_estimator
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.trees import Tree

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


def test_paths_of_a_tree_are_those_walked_by_hand() -> None:
    #        0: x0        4 loans
    #    1: -1 (1)    2: x1   3 loans
    #                3: 2 (2)  4: 8 (1)
    tree = Tree(
        left=np.array([1, -1, 3, -1, -1]),
        right=np.array([2, -1, 4, -1, -1]),
        feature=np.array([0, 0, 1, 0, 0]),
        value=np.array([0.0, -1.0, 0.0, 2.0, 8.0]),
        count=np.array([4, 1, 3, 2, 1]),
    )
    root, paths = tree.paths(2)
    assert root == pytest.approx((-1 + 2 + 2 + 8) / 4)
    assert paths == pytest.approx(np.array([[-1 - 2.75, 0], [4 - 2.75, -2], [4 - 2.75, 4]]))


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
