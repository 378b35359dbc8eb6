"""Calibration, intervals, choice and persona matching against independent implementations."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn import metrics as theirs
from sklearn.linear_model import LogisticRegression

from loan_scoring.contract import Contract
from loan_scoring.models.estimators import XGBoost
from loan_scoring.models.training.candidates import Trial, build_candidate, declared_trials
from loan_scoring.models.training.cross_validation import TrialResult, choose_trial, fold_metrics
from loan_scoring.models.training.personas import SAME, describe_personas, match_names
from loan_scoring.statistics.calibration import (
    log_odds,
    recalibrate,
    slope_and_intercept,
    slopes_and_intercepts,
)
from loan_scoring.statistics.intervals import BLOCK, HOLDOUT_METRICS, bootstrap
from loan_scoring.statistics.model_metrics import holdout_metrics

DICE = np.random.default_rng(11)


def predictions(n: int = 3000, slope: float = 1.4, intercept: float = -0.3) -> tuple:
    """Return outcomes and probabilities that are off by slope and intercept."""
    z = DICE.normal(-1.5, 1.2, n)
    y = (DICE.random(n) < expit(intercept + slope * z)).astype(int)
    return y, np.round(expit(z), 3).clip(0.001, 0.999)  # rounded: ties


def test_slope_and_intercept_solve_the_score_equations_to_the_last_digits() -> None:
    """Rounding of the likelihood must not stop the last steps, or training differs by machine."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.normal(-1.7, 1, int(rng.integers(200, 9000)))
        y = (rng.random(len(x)) < expit(0.87 * x - 0.1)).astype(int)
        slope, intercept = slope_and_intercept(y, expit(x))
        residual = y - expit(intercept + slope * x)
        assert abs(residual.mean()) < 1e-14
        assert abs((residual * x).mean()) < 1e-14


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (1.4, -0.3), (0.5, 0.8), (-0.4, -1)])
def test_slope_and_intercept_maximise_the_likelihood(slope: float, intercept: float) -> None:
    y, p = predictions(slope=slope, intercept=intercept)
    x = log_odds(p)

    def loss(of: np.ndarray) -> float:
        z = of[1] + of[0] * x
        return float(np.sum(np.logaddexp(0, z) - y * z))

    plain = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    found = slope_and_intercept(y, p)
    assert found == pytest.approx(plain.x, abs=1e-5)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, None], y)
    assert found == pytest.approx((fitted.coef_[0, 0], fitted.intercept_[0]), abs=1e-5)
    assert found == pytest.approx((slope, intercept), abs=0.25)


def test_recalibrated_predictions_have_slope_one() -> None:
    y, p = predictions()
    mended = recalibrate(p, *slope_and_intercept(y, p))
    assert slope_and_intercept(y, mended) == pytest.approx((1, 0), abs=1e-6)
    assert mended.mean() == pytest.approx(y.mean())


def test_weights_are_repetitions() -> None:
    y, p = predictions(400)
    weights = DICE.integers(0, 4, (5, 400)).astype(float)
    slopes, intercepts = slopes_and_intercepts(y, p, weights)
    for row, slope, intercept in zip(weights.astype(int), slopes, intercepts, strict=True):
        known = slope_and_intercept(np.repeat(y, row), np.repeat(p, row))
        assert (slope, intercept) == pytest.approx(known, abs=1e-6)
        assert slope_and_intercept(y, p, row.astype(float)) == pytest.approx(known)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3]),
        ([0, 1, 1], [0.3, 0.3, 0.3]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]),
    ],
)
def test_without_a_maximum_of_the_likelihood_slope_and_intercept_are_nan(
    y: list[int], p: list[float]
) -> None:
    assert np.isnan(slope_and_intercept(np.array(y), np.array(p))).all()


def test_metrics_and_their_intervals_are_scikit_learns_on_the_same_resamples() -> None:
    y, p = predictions(700)
    resamples, seed, threshold = 120, 5, 0.3
    found = bootstrap(y, p, threshold, resamples, seed)
    cells, counts = np.unique(np.column_stack([p, y]), axis=0, return_counts=True)
    dice = np.random.default_rng(seed)
    drawn = [
        np.repeat(np.arange(len(cells)), row)
        for start in range(0, resamples, BLOCK)
        for row in dice.multinomial(len(y), counts / len(y), min(BLOCK, resamples - start))
    ]
    plain = pd.DataFrame([_scikit_learns(cells[row, 1], cells[row, 0], threshold) for row in drawn])
    for name in HOLDOUT_METRICS:
        assert found[name] == pytest.approx(np.percentile(plain[name], [2.5, 97.5]), abs=1e-5)
    whole = holdout_metrics(y, p, threshold)
    for name, value in _scikit_learns(y, p, threshold).items():
        assert whole[name] == pytest.approx(value, abs=1e-9)
        assert found[name][0] < value < found[name][1]


def _scikit_learns(y: np.ndarray, p: np.ndarray, threshold: float) -> dict[str, float]:
    false_positive, true_positive, _ = theirs.roc_curve(y, p, drop_intermediate=False)
    slope, intercept = slope_and_intercept(y, p)
    auc = theirs.roc_auc_score(y, p)
    return {
        "auc": auc,
        "gini": 2 * auc - 1,
        "ks": np.abs(true_positive - false_positive).max(),
        "f1": theirs.f1_score(y, p >= threshold),
        "precision": theirs.precision_score(y, p >= threshold),
        "recall": theirs.recall_score(y, p >= threshold),
        "brier": theirs.brier_score_loss(y, p),
        "log_loss": theirs.log_loss(y, p),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }


def test_interval_covers_the_truth_about_as_often_as_its_confidence() -> None:
    """Brier score of calibrated probabilities: its expectation is known without a sample."""
    hits = 0
    for seed in range(60):
        dice = np.random.default_rng(seed)
        p = dice.beta(1, 4, 400)
        y = (dice.random(400) < p).astype(int)
        low, high = bootstrap(y, p, 0.3, 200, seed)["brier"]
        hits += low <= 1 / 5 * 4 / 6 <= high  # E[p(1-p)] of a beta(1, 4): ab / (a+b)(a+b+1)
    assert hits >= 50


def test_metric_without_a_value_has_no_interval() -> None:
    y, _ = predictions(300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bootstrap(y, np.full(300, 0.2), 0.9, 100, 1)
    assert "precision" not in found
    assert "calibration_slope" not in found
    assert found["auc"] == [0.5, 0.5]
    assert found["f1"] == [0.0, 0.0]


def result(place: int, *aucs: float) -> TrialResult:
    return TrialResult(
        Trial(f"t-{place}", place, "xgboost", {}), [{"auc": a} for a in aucs], 1, 0, 0
    )


def test_choice_is_the_simplest_within_one_standard_error() -> None:
    best = result(2, 0.78, 0.80, 0.82)  # 0.80, standard error 0.0115
    assert best.auc_standard_error == pytest.approx(0.02 / np.sqrt(3))
    near, far = result(1, 0.79, 0.79, 0.79), result(0, 0.788, 0.788, 0.788)
    assert choose_trial([best, far, near]) is near
    assert choose_trial([best, far]) is best
    alike = result(0, 0.78, 0.80, 0.82)
    assert choose_trial([best, alike]) is alike


def test_f1_of_a_trial_is_that_of_the_paid_at_one_half() -> None:
    y, p = predictions(500)
    found = fold_metrics(y, p)
    assert found["f1_paid"] == pytest.approx(theirs.f1_score(y, p >= 0.5, pos_label=0))
    assert found["f1_default"] == pytest.approx(theirs.f1_score(y, p >= 0.5, pos_label=1))


def test_every_declared_trial_can_be_built(loan_default: Contract) -> None:
    features = [column.name for column in loan_default.features]
    for trial in declared_trials(loan_default):
        last = build_candidate(loan_default, features, trial)[-1]
        known = last.get_params()
        for name, value in trial.parameters.items():
            assert known[name] == value
        assert known.get("random_state", loan_default.training.seed) == loan_default.training.seed \
            or trial.algorithm == "logistic_regression"  # fmt: skip


def test_xgboost_is_xgboosts_own_classifier() -> None:
    import xgboost

    X = DICE.normal(size=(600, 4)).astype(np.float32)
    X[DICE.random((600, 4)) < 0.1] = np.nan
    y = (np.nan_to_num(X[:, 0]) + DICE.normal(size=600) > 0).astype(int)
    ours = XGBoost(n_estimators=20, random_state=3).fit(X, y)
    parameters = ours.get_params()
    plain = xgboost.XGBClassifier(**parameters, tree_method="hist", n_jobs=1).fit(X, y)
    assert ours.predict_proba(X) == pytest.approx(plain.predict_proba(X), abs=1e-6)
    assert (ours.predict(X) == plain.predict(X)).all()
    assert ours.__getstate__().keys() >= {"ubj_", "classes_"}
    assert "_booster" not in ours.__getstate__()


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5), st.integers(2, 5))
def test_matching_is_the_best_of_all_pairings(seed: int, olds: int, news: int) -> None:
    dice = np.random.default_rng(seed)
    old, new = dice.integers(olds, size=60), dice.integers(news, size=60)
    keep = dice.random(60) < 0.8
    new = np.where(keep, old % news, new)
    names = [f"p{i}" for i in range(olds)]
    overlap = np.array(
        [
            [((old == i) & (new == j)).sum() / max(1, ((old == i) | (new == j)).sum())
             for j in range(news)]
            for i in range(olds)
        ]
    )  # fmt: skip
    few, many = sorted([olds, news])
    best = max(
        sum(overlap[i, j] if olds <= news else overlap[j, i] for i, j in enumerate(chosen))
        for chosen in itertools.permutations(range(many), few)
    )
    found = match_names(old, new, names, news)
    assert len(set(found.values())) == len(found)
    for j, name in found.items():
        assert overlap[names.index(name), j] > SAME
    # Above one half a cluster has at most one partner: the pairing must keep each such pair.
    assert {(names[i], j) for i, j in np.argwhere(overlap > SAME)} == {
        (name, j) for j, name in found.items()
    }
    assert sum(overlap[names.index(n), j] for j, n in found.items()) <= best + 1e-9


def test_personas_are_described_with_their_intervals() -> None:
    y = np.array([1, 0, 0, 0, 1, 1])
    traits = [[{"phrase": "high age", "share": 0.9, "others": 0.2}], [], []]
    clusters = np.array([0, 0, 0, 0, 1, 1])
    first, second, empty = describe_personas(clusters, y, ["a", "b", "c"], traits)
    assert first["traits"] == traits[0]
    assert (first["loans"], first["default_rate"]) == (4, 0.25)
    assert first["default_rate_interval"] == pytest.approx([0.0456, 0.6994], abs=1e-4)
    assert second["default_rate"] == 1
    assert (empty["share"], empty["default_rate"]) == (0, 0.5)
    assert empty["default_rate_interval"] == [0, 1]
