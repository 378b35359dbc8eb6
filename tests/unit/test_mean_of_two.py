"""The mean of two candidates: by hand, exact contributions, directions, storage, contract."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.special import expit, logit
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.errors import ContractError
from loan_scoring.models.artifacts import TRUSTED, _skops, dump_estimator
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import Encoder, feature_frame, split_columns
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.training.candidates import build_candidate, declared_trials, fit_pipeline
from loan_scoring.statistics.calibration import recalibrate

CANDIDATES = {
    "logistic_regression": [{"C": 1.0}],
    "hist_gradient_boosting": [{"max_iter": 20}, {"max_iter": 10, "max_leaf_nodes": 7}],
    "xgboost": [{"n_estimators": 20}],
}
PAIRS = [
    ("logistic_regression-1", "hist_gradient_boosting-1"),
    ("hist_gradient_boosting-1", "hist_gradient_boosting-2"),
    ("xgboost-1", "logistic_regression-1"),
    ("hist_gradient_boosting-2", "xgboost-1"),
]
FEATURES = ["income", "amount", "home"]
ROWS = 1500


def contract_of(mean_of: Sequence[str] | None, direction: str | None = None) -> Contract:
    """Return a contract of three features, one of which may have a direction."""
    columns: list[dict[str, Any]] = [
        {"name": "loan_id", "type": "integer"},
        {"name": "income", "type": "number", "direction": direction},
        {"name": "amount", "type": "number"},
        {"name": "home", "type": "category", "levels": ["own", "rent", "other"]},
    ]
    return Contract.model_validate(
        {
            "portfolio": "loans", "title": "Loans", "owner": "risk",
            "columns": [
                {"source": each["name"], "label": each["name"], "known": "application"} | each
                for each in columns
            ],
            "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.3},
            "training": {"candidates": CANDIDATES, "mean_of": mean_of},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def loans() -> tuple[pa.Table, np.ndarray]:
    dice = np.random.default_rng(8)
    income, amount = dice.normal(5, 2, ROWS).round(2), dice.lognormal(3, 1, ROWS).round()
    home = dice.choice(["own", "rent", "other"], ROWS, p=[0.5, 0.45, 0.05])
    y = dice.random(ROWS) < expit(1 - income / 2 + (home == "rent") + amount / 50)
    null = dice.random(ROWS) < 0.1
    table = pa.table(
        {
            "income": pa.array(income, mask=null),
            "amount": pa.array(amount),
            "home": pa.array(home, mask=dice.random(ROWS) < 0.1),
        }
    )
    return table, y.astype(int)


def fitted(contract: Contract, loans: tuple[pa.Table, np.ndarray], place: int) -> Pipeline:
    table, y = loans
    trial = declared_trials(contract)[place]
    X = feature_frame(table, contract, FEATURES)
    return fit_pipeline(build_candidate(contract, FEATURES, trial), X, y)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
@pytest.mark.parametrize("is_calibrated", [False, True])
def test_mean_is_that_of_the_log_odds_and_of_the_contributions(
    loans: tuple[pa.Table, np.ndarray], pair: tuple[str, str], is_calibrated: bool
) -> None:
    contract = contract_of(pair)
    X = feature_frame(loans[0], contract, FEATURES)
    names = [trial.name for trial in declared_trials(contract)]
    assert names[-1] == "mean_of-1"
    both = [fitted(contract, loans, names.index(name)) for name in pair]
    mean = fitted(contract, loans, -1)
    log_odds = np.mean([logit(each.predict_proba(X)[:, 1]) for each in both], axis=0)
    slope, intercept = 1.0, 0.0
    if is_calibrated:
        slope, intercept = 0.8, -0.1
        last = Calibrated(mean[-1], slope, intercept)
        last.classes_ = mean[-1].classes_
        mean = Pipeline([mean.steps[0], ("classify", last)])
    expected = recalibrate(expit(log_odds), slope, intercept)
    probability = mean.predict_proba(X)[:, 1]
    assert probability == pytest.approx(expected, abs=1e-9)

    encoded = Encoder(mean[0]).encode(split_columns(loans[0], contract, FEATURES))
    assert np.array_equal(encoded, mean[0].transform(X), equal_nan=True)
    ours = Contributions(mean, FEATURES)
    found, bins = ours.probabilities(encoded)
    assert np.array_equal(found, probability)
    parts = [
        Contributions(each, FEATURES).by_feature(np.asarray(each[0].transform(X))) for each in both
    ]
    for base, added in (ours.by_feature(encoded), ours.by_feature(encoded, bins)):
        assert added == pytest.approx(slope * (parts[0][1] + parts[1][1]) / 2, abs=1e-9)
        assert base == pytest.approx(slope * (parts[0][0] + parts[1][0]) / 2 + intercept, abs=1e-9)
        tolerance = 1e-6 if "xgboost-1" in pair else 1e-9  # its leaves are of 32 bits
        assert base + added.sum(axis=1) == pytest.approx(logit(probability), abs=tolerance)
    # A night explains some rows only, from the bins of all.
    some = ours.by_feature(encoded[5:9], None if bins is None else bins[5:9])[1]
    assert some == pytest.approx(added[5:9], abs=1e-12)


def test_mean_is_stored_and_loaded_without_a_change(loans: tuple[pa.Table, np.ndarray]) -> None:
    contract = contract_of(PAIRS[0])
    X = feature_frame(loans[0], contract, FEATURES)
    model = fitted(contract, loans, -1)
    loaded = _skops().loads(dump_estimator(model), trusted=list(TRUSTED))
    assert loaded.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    encoded = model[0].transform(X)
    here, there = (Contributions(each, FEATURES).by_feature(encoded) for each in (model, loaded))
    assert here[0] == there[0]
    assert np.array_equal(here[1], there[1])


def test_weights_reach_both_parts(loans: tuple[pa.Table, np.ndarray]) -> None:
    table, y = loans
    contract = contract_of(PAIRS[0])
    X = feature_frame(table, contract, FEATURES)
    weights = np.where(y == 1, 3.0, 1.0)
    trials = {each.name: each for each in declared_trials(contract)}
    found = [
        logit(
            fit_pipeline(build_candidate(contract, FEATURES, trials[name]), X, y, weights)
            .predict_proba(X)[:, 1]
        )
        for name in (*PAIRS[0], "mean_of-1")
    ]  # fmt: skip
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, abs=1e-9)


def test_directions_are_kept_if_both_keep_them(loans: tuple[pa.Table, np.ndarray]) -> None:
    pair = PAIRS[3]
    contract = contract_of(pair, "down")
    X = feature_frame(loans[0], contract, FEATURES)
    higher = X.assign(income=X["income"] + 1)
    kept, free = (
        (each.predict_proba(higher)[:, 1] - each.predict_proba(X)[:, 1]).max()
        for each in (fitted(contract, loans, -1), fitted(contract_of(pair), loans, -1))
    )
    assert kept <= 1e-12 < free
    with pytest.raises(ContractError, match="logistic_regression cannot keep the direction of inc"):
        fitted(contract_of(PAIRS[0], "down"), loans, -1)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("logistic_regression-1", "xgboost-2"), "'xgboost-2' is no candidate with log-odds; use"),
        (("xgboost-1", "xgboost-1"), "'xgboost-1' stands twice"),
        (("xgboost-1", "random_forest-1"), "'random_forest-1' is no candidate with log-odds"),
    ],
)
def test_means_that_cannot_be_are_refused(pair: tuple[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        contract_of(pair)
