"""Bins, points and SQL of scorecards, and directions of columns for all that keep them."""

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.contract import KEEPS_DIRECTIONS, PARAMETERS, Contract
from loan_scoring.errors import ContractError
from loan_scoring.models.artifacts import TRUSTED, _skops, dump_estimator
from loan_scoring.models.binning import BinnedNumbers, _in_order, weights_of_evidence
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.scorecard import Scorecard, describe_scorecard, information_value
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline

ROWS = 6000
FEW: dict[str, dict[str, float]] = {
    "hist_gradient_boosting": {"max_iter": 40},
    "xgboost": {"n_estimators": 40},
    "scorecard": {},
}


def contract(candidates: dict[str, Any] | None = None, **score: Any) -> Contract:
    of = {"type": "number", "known": "application"}
    return Contract.model_validate(
        {
            "portfolio": "cards",
            "title": "Cards",
            "owner": "tests",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "training": {
                "candidates": candidates or {"scorecard": [{}]},
                "scorecard": {"pdo": 40, "base_score": 500, "base_odds": 20},
            },
            "columns": [
                {**of, "source": "id", "name": "loan_id", "label": "Id", "type": "integer"},
                {**of, "source": "s", "name": "score", "label": "Score", "direction": "down",
                 "special_codes": [999], **score},
                {**of, "source": "i", "name": "income", "label": "Income"},
                {**of, "source": "f", "name": "phone", "label": "Phone", "type": "boolean",
                 "direction": "up"},
                {**of, "source": "t", "name": "town", "label": "Town", "type": "category",
                 "open_levels": True},
            ],
        }
    )  # fmt: skip


def loans(seed: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Return features with nulls and codes, and outcomes that follow them in waves."""
    dice = np.random.default_rng(seed)
    score = np.round(dice.uniform(300, 800, ROWS))
    phone = (dice.random(ROWS) < 0.5).astype(float)
    town = dice.choice(["a", "b", "c", "d"], ROWS, p=[0.4, 0.3, 0.2985, 0.0015])
    odds = -1.5 - (score - 550) / 150 + 0.8 * np.sin(score / 15) + (town == "b") - 0.4 * phone
    y = (dice.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(int)
    X = pd.DataFrame({"score": score, "income": dice.normal(size=ROWS), "phone": phone,
                      "town": town.astype(object)})  # fmt: skip
    X.loc[:200, "score"], X.loc[200:400, "score"] = np.nan, 999
    X.loc[ROWS - 100 :, "town"] = np.nan
    return X, y


def fitted(algorithm: str, of: Contract, X: pd.DataFrame, y: np.ndarray) -> Pipeline:
    if algorithm == "scorecard":
        pytest.importorskip("optbinning", reason="the extra scorecard is not installed")
    trial = Trial(f"{algorithm}-1", 0, algorithm, dict(FEW[algorithm]))
    return fit_pipeline(build_candidate(of, list(X.columns), trial), X, y)


@pytest.mark.parametrize("algorithm", KEEPS_DIRECTIONS)
def test_raising_a_value_never_moves_the_probability_against_the_direction(algorithm: str) -> None:
    X, y = loans()
    X["score"] = X["score"].where(X["score"] != 999)
    model = fitted(algorithm, contract(special_codes=[]), X, y)
    known = X["score"].notna().to_numpy()
    before = model.predict_proba(X)[:, 1]
    for add in (1, 20, 300):
        after = model.predict_proba(X.assign(score=X["score"] + add))[:, 1]
        assert (after[known] <= before[known] + 1e-12).all()
    yes, no = (model.predict_proba(X.assign(phone=value))[:, 1] for value in (1.0, 0.0))
    assert (yes >= no - 1e-12).all()
    free = contract(direction=None)
    if algorithm != "scorecard":  # the waves are followed without a direction
        model = fitted(algorithm, free, X, y)
        after = model.predict_proba(X.assign(score=X["score"] + 20))[:, 1]
        assert (after > model.predict_proba(X)[:, 1])[known].mean() > 0.1


@pytest.mark.parametrize("algorithm", sorted({*PARAMETERS} - {*KEEPS_DIRECTIONS}))
def test_trial_that_cannot_keep_a_direction_is_refused_with_the_reason(algorithm: str) -> None:
    message = f"{algorithm} cannot keep the direction of score, phone"
    with pytest.raises(ContractError, match=message):
        build_candidate(contract(), ["score", "phone"], Trial("x", 0, algorithm, {}))
    build_candidate(contract(), ["income", "town"], Trial("x", 0, algorithm, {}))


def test_contract_whose_candidates_cannot_keep_a_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="random_forest cannot keep the direction of score; add"):
        contract({"random_forest": [{}]})
    with pytest.raises(ValueError, match="only a number or a boolean has direction"):
        contract(type="category", open_levels=True, special_codes=[])


def test_missing_package_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optbinning", None)
    X, y = loans()
    trial = Trial("scorecard-1", 0, "scorecard", {})
    with pytest.raises(
        ContractError, match=r"uv pip install --require-hashes -r requirements-extras.txt"
    ):
        build_candidate(contract(), list(X.columns), trial).fit(X, y)


def test_weight_of_evidence_is_the_logarithm_of_both_odds() -> None:
    found = weights_of_evidence(np.array([1000, 3000, 0, 19]), np.array([500, 300, 0, 19]))
    rate = 819 / 4019
    expected = np.log((500 + rate) / (501 - rate)) - np.log(rate / (1 - rate))
    assert found[0] == pytest.approx(expected)
    assert found[1] < 0
    assert found[2:].tolist() == [0, 0]


def test_information_value_is_optbinnings() -> None:
    optbinning = pytest.importorskip("optbinning", reason="the extra scorecard is not installed")
    X, y = loans()
    known = X["score"].dropna().to_numpy()
    y = y[X["score"].notna()]
    theirs = optbinning.OptimalBinning(dtype="numerical").fit(known, y)
    with warnings.catch_warnings(action="ignore"):  # of pandas, by the table alone
        table = theirs.binning_table.build()
    bins = np.searchsorted(theirs.splits, known, side="right")
    counts = np.bincount(bins)
    ours = information_value(counts, np.bincount(bins, y))
    assert ours == pytest.approx(table.loc["Totals", "IV"], rel=0.01)


def test_cut_that_turns_the_weights_around_is_removed() -> None:
    values = np.repeat([0.0, 1.0, 2.0], [500, 500, 30])
    y = np.concatenate([np.arange(500) < 50, np.arange(500) < 200, np.arange(30) < 13])
    y = y.astype(int)  # rates rise: 10 %, 40 %, 43 %
    assert _in_order([0.5, 1.5], values, y, 1) == [0.5, 1.5]
    y[-30:] = np.arange(30) < 12  # 40 % again, and the weight of the small bin is pulled to 0
    assert _in_order([0.5, 1.5], values, y, 1) == [0.5]
    assert _in_order([0.5, 1.5], values, y, 0) == [0.5, 1.5]


def test_nulls_and_codes_have_bins_of_their_own() -> None:
    X, y = loans()
    model = fitted("scorecard", contract(), X, y)
    card = describe_scorecard(contract(), model)
    assert card is not None
    score, income, _, town = card["columns"]
    *ranges, code, null = score["bins"]
    assert (code["equals"], code["loans"]) == (999, 201)
    assert (null["is_null"], null["loans"]) == (True, 200)
    assert [one["from"] for one in ranges[1:]] == [one["below"] for one in ranges[:-1]]
    assert [one["woe"] for one in ranges] == sorted((o["woe"] for o in ranges), reverse=True)
    assert sum(one["loans"] for one in score["bins"]) == ROWS
    other = next(one for one in town["bins"] if one.get("is_other"))
    assert other["loans"] == (X["town"] == "d").sum() > 0  # rare
    assert income["information_value"] < 0.02
    rate = y[X["score"] == 999].mean()
    assert code["default_rate"] == pytest.approx(rate)


def test_points_add_up_and_pdo_points_double_the_odds() -> None:
    X, y = loans()
    model = fitted("scorecard", contract(), X, y)
    card = describe_scorecard(contract(), model)
    assert card is not None
    points = sum(
        np.array([one["points"] for one in each["bins"]])[part.bins(place, X[each["column"]])]
        for each, (part, place) in zip(card["columns"], _parts(model), strict=True)
    )
    odds = 1 / model.predict_proba(X)[:, 1] - 1
    assert points == pytest.approx(500 + 40 * np.log2(odds / 20))
    # A contribution to the log-odds is the loss of points against the average applicant.
    _, added = Contributions(model, list(X.columns)).by_feature(model[0].transform(X))
    score = card["columns"][0]
    of_score = np.array([one["points"] for one in score["bins"]])[
        model[0].named_transformers_["numbers"].bins(0, X["score"])
    ]
    assert -added[:, 0] * 40 / np.log(2) == pytest.approx(of_score - of_score.mean())


def _parts(model: Pipeline) -> list[tuple[Any, int]]:
    parts = model[0].named_transformers_
    return [*((parts["numbers"], place) for place in range(3)), (parts["categories"], 0)]


def test_fitted_scorecard_is_stored_and_scores_without_optbinning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = loans()
    model = fitted("scorecard", contract(), X, y)
    for name in [each for each in sys.modules if each.split(".")[0] in ("optbinning", "ortools")]:
        monkeypatch.setitem(sys.modules, name, None)
    loaded = _skops().loads(dump_estimator(model), trusted=list(TRUSTED))
    assert loaded.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert describe_scorecard(contract(), loaded) == describe_scorecard(contract(), model)


def test_column_with_a_wrong_sign_is_left_out() -> None:
    dice = np.random.default_rng(5)
    first = dice.normal(size=4000)
    second = first + dice.normal(size=4000) * 0.3
    y = (dice.random(4000) < 1 / (1 + np.exp(-(2 * first - 0.9 * second)))).astype(int)
    X = np.column_stack([first, second, np.zeros(4000)])
    assert LogisticRegression().fit(X, y).coef_[0, 1] < 0
    model = Scorecard().fit(X, y)
    assert sorted(model.left_out_) == [1, 2]
    assert dict(zip(model.left_out_, model.wrong_, strict=True))[1] < 0
    alone = LogisticRegression().fit(X[:, :1], y)
    assert model.coef_[0] == pytest.approx([alone.coef_[0, 0], 0, 0])
    assert model.predict_proba(X) == pytest.approx(alone.predict_proba(X[:, :1]))


def test_bin_edge_belongs_to_the_bin_above() -> None:
    encoder = BinnedNumbers([0], [[]])
    encoder.cuts_ = [[10.0, 20.0]]
    found = encoder.bins(0, pd.Series([9.9, 10, 19.9, 20, np.nan]))
    assert found.tolist() == [0, 1, 1, 2, 3]
