"""Reject inference against independent calculations, and where its assumption holds."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from loan_scoring.contract import Contract
from loan_scoring.models.card.blocks import Text
from loan_scoring.models.card.data import declined_sections
from loan_scoring.models.estimators import XGBoost
from loan_scoring.models.holdout import holdout_members
from loan_scoring.models.training.applicants import Applicants
from loan_scoring.models.training.candidates import build_candidate, declared_trials, fit_pipeline
from loan_scoring.models.training.cross_validation import cross_validate
from loan_scoring.models.training.fit import fit_pair, split_rows
from loan_scoring.models.training.reject_inference import (
    Rejects,
    effective_sample_size,
    infer_rejects,
    inverse_weights,
    labelled_probabilities,
    with_rejects,
)
from loan_scoring.models.training.rows import TrainingRows

ROWS = 12_000
KNOWN = {"known": "application"}


def contract(**training: object) -> Contract:
    return Contract.model_validate(
        {
            "portfolio": "tiny",
            "title": "Tiny",
            "owner": "nobody",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.1, "decline_from": 0.4},
            "outcomes": {"known_for": "approved"},
            "training": {
                "personas": 3, "resamples": 100, "folds": 3,
                "candidates": {"logistic_regression": [{"C": 1.0, "n_knots": 2}]},
            } | training,
            "columns": [
                {**KNOWN, "source": "id", "name": "loan_id", "label": "Id", "type": "integer"},
                {**KNOWN, "source": "a", "name": "amount", "label": "Amount", "type": "number"},
                {**KNOWN, "source": "b", "name": "debt", "label": "Debt", "type": "number"},
            ],
        }
    )  # fmt: skip


def people(seed: int = 1) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Applicants with their outcomes, and whether they are approved: those of a low amount are."""
    dice = np.random.default_rng(seed)
    amount, debt = dice.normal(size=(2, ROWS))
    table = pa.table({"loan_id": np.arange(ROWS), "amount": amount, "debt": debt})
    is_default = dice.random(ROWS) < expit(-1.5 + amount + 0.5 * debt)
    return table, is_default, dice.random(ROWS) < expit(0.5 - 1.5 * amount)


def training_of(declared: Contract, is_default: np.ndarray, approved: np.ndarray) -> TrainingRows:
    table, _, _ = people()
    labelled = table.append_column("is_default", pa.array(is_default)).filter(pa.array(approved))
    declined = table.filter(pa.array(~approved))
    counts = {"applicants": ROWS, "labelled": labelled.num_rows, "declined": declined.num_rows}
    applicants = Applicants(table, declined, counts)
    return TrainingRows("f", labelled, [], {}, ["amount", "debt"], applicants=applicants)


def test_weights_are_those_of_a_logistic_regression_where_selection_follows_one() -> None:
    table, _, approved = people()
    X = table.drop_columns("loan_id").to_pandas()
    found, of_declined = labelled_probabilities(
        contract(), ["amount", "debt"], X[approved], X[~approved], 1.0
    )
    truth = LogisticRegression(C=1e6).fit(X, approved).predict_proba(X)[:, 1]
    assert np.corrcoef(found, truth[approved])[0, 1] > 0.98
    assert np.mean(np.concatenate([found, of_declined])) == pytest.approx(
        np.mean(approved), abs=0.01
    )
    weights = inverse_weights(found)
    # Horvitz and Thompson: weighted means of the labelled estimate means of all applicants.
    everyone, own = X["amount"].mean(), X["amount"][approved].mean()
    weighted = np.average(X["amount"][approved], weights=weights)
    assert abs(weighted - everyone) < 0.2 * abs(own - everyone)
    squares = sum(float(w) ** 2 for w in weights)
    assert effective_sample_size(weights) == pytest.approx(sum(map(float, weights)) ** 2 / squares)


def test_a_sampled_declined_applicant_counts_for_all_that_he_stands_for() -> None:
    table, _, approved = people()
    X = table.drop_columns("loan_id").to_pandas()
    whole, _ = labelled_probabilities(contract(), ["amount", "debt"], X[approved], X[~approved], 1)
    third = X[~approved].iloc[::3]
    found, _ = labelled_probabilities(contract(), ["amount", "debt"], X[approved], third, 3)
    assert found.mean() == pytest.approx(whole.mean(), abs=0.01)


def test_parcelled_outcomes_default_as_often_as_probability_times_factor() -> None:
    probability = np.random.default_rng(3).uniform(0.05, 0.3, 20_000)
    for factor in (1.0, 2.0):
        drawn = Rejects(factor=factor, seed=5).draw(probability)
        for low, high in ((0.05, 0.1), (0.1, 0.2), (0.2, 0.3)):
            part = (probability >= low) & (probability < high)
            expected = factor * probability[part].mean()
            assert binomtest(int(drawn[part].sum()), int(part.sum()), expected).pvalue > 0.001
    assert (
        Rejects(factor=2.0, seed=5).draw(probability) >= Rejects(seed=5).draw(probability)
    ).all()
    assert Rejects(factor=10, seed=5).draw(np.full(100, 0.5)).all()


def test_parcelled_rows_stand_behind_the_labelled_with_their_weight() -> None:
    X = pd.DataFrame({"amount": [1.0, 2.0, 3.0]})
    rejects = Rejects(X=pd.DataFrame({"amount": [9.0]}), each=4.0)
    rows, y, weights = with_rejects(X, np.array([0, 1, 0]), np.array([0, 2]), rejects, np.ones(1))
    assert rows["amount"].tolist() == [1.0, 3.0, 9.0]
    assert y.tolist() == [0, 0, 1]
    assert weights is not None
    assert weights.tolist() == [1.0, 1.0, 4.0]


@pytest.mark.parametrize("algorithm", ["hist_gradient_boosting", "xgboost", "random_forest"])
def test_weight_two_is_as_two_rows(algorithm: str) -> None:
    """Each algorithm hands the weights to its fit: weight 0 is as no row at all."""
    declared = contract(candidates={algorithm: [{}]})
    table, is_default, approved = people()
    X = table.drop_columns("loan_id").to_pandas()
    trial = declared_trials(declared)[0]
    fitted = [
        fit_pipeline(build_candidate(declared, list(X), trial), X, is_default.astype(int), weights)
        for weights in (None, np.where(approved, 1.0, 1e-9))
    ]
    whole, part = (pipeline.predict_proba(X[~approved])[:, 1].mean() for pipeline in fitted)
    assert abs(whole - part) > 0.01


def test_xgboost_with_weights_is_xgboosts_own() -> None:
    import xgboost

    dice = np.random.default_rng(1)
    X, weights = dice.normal(size=(500, 3)).astype(np.float32), dice.uniform(0.5, 2, 500)
    y = (X[:, 0] > dice.normal(size=500)).astype(int)
    ours = XGBoost(n_estimators=20, subsample=1, colsample_bytree=1).fit(X, y, weights)
    theirs = xgboost.XGBClassifier(
        n_estimators=20, learning_rate=0.05, max_depth=6, min_child_weight=5, reg_lambda=1,
        tree_method="hist", random_state=0, n_jobs=1,
    ).fit(X, y, sample_weight=weights)  # fmt: skip
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-5)


@pytest.mark.parametrize("method", ["none", "reweighting", "parcelling"])
def test_only_the_fit_reads_declined_applicants(method: str) -> None:
    declared = contract(reject_inference=method)
    table, is_default, approved = people()
    training = training_of(declared, is_default, approved)
    parts = split_rows(declared, training)
    X, y = parts.X.iloc[parts.learn], parts.y[parts.learn]
    rejects = infer_rejects(declared, parts.features, training.applicants, X)
    assert (rejects is None) == (method == "none")
    if rejects is not None and rejects.X is not None:
        policy = declared.training
        ids = training.applicants.parts["declined"].column("loan_id")
        held = holdout_members(ids, policy.seed, policy.holdout_share)
        assert len(rejects.X) == (~held).sum()
    trial = declared_trials(declared)[0]
    result = cross_validate(declared, parts.features, trial, X, y, None, rejects)
    model, _ = fit_pair(declared, training, result)
    assert model.metrics["rows"] == len(parts.test)  # labelled loans of the hold-out
    assert model.evaluation is not None
    declined = model.evaluation["declined"]
    assert declined["method"] == method
    assert declined["applicants"] == training.applicants.counts["declined"]
    assert 0.7 < declined["auc"] < 0.9
    assert (declined.get("effective_loans", 1e9) < len(X)) == (method == "reweighting")
    assert declined.get("factor") == (1.0 if method == "parcelling" else None)
    row = {
        "evaluation": model.evaluation,
        "training_data": {"cohorts": {"known_for": "approved"}},
    }
    (section,) = declined_sections(declared, row)
    card = " ".join(block.text for block in section.blocks if isinstance(block, Text))
    assert f"{declined['applicants']:,} others in the batches of the training have none" in card
    assert "No outcome supports what the model predicts for applicants like them" in card
    assert f"an AUC of {declined['auc']:.3f}" in card
    assert ("worth" in card, "parcelling" in card) == (
        method == "reweighting",
        method == "parcelling",
    )
    # Here approved and declined applicants who are alike default alike: no method may do harm.
    p = model.estimator.predict_proba(table.to_pandas()[["amount", "debt"]])[:, 1]
    assert p.mean() == pytest.approx(is_default.mean(), abs=0.02)
    assert p[~approved].mean() == pytest.approx(is_default[~approved].mean(), abs=0.05)


def test_factor_raises_what_is_predicted_where_nobody_is_approved() -> None:
    """Where both are alike, the outcomes of the approved outweigh it."""
    table, is_default, _ = people()
    approved = table.column("amount").to_numpy() < 0.3
    found = []
    for factor in (1.0, 1.5):
        declared = contract(
            reject_inference="parcelling",
            parcelling_factor=factor,
            candidates={"hist_gradient_boosting": [{"max_iter": 60}]},
            calibration_slope=[0.5, 2],
        )
        training = training_of(declared, is_default, approved)
        parts = split_rows(declared, training)
        X, y = parts.X.iloc[parts.learn], parts.y[parts.learn]
        rejects = infer_rejects(declared, parts.features, training.applicants, X)
        trial = declared_trials(declared)[0]
        result = cross_validate(declared, parts.features, trial, X, y, None, rejects)
        model, _ = fit_pair(declared, training, result)
        assert model.evaluation is not None
        found.append(model.evaluation["declined"]["mean_probability"])
    assert found[1] > 1.3 * found[0]


@pytest.mark.parametrize(
    ("known_for", "training", "message"),
    [
        ("all", {"reject_inference": "parcelling"}, "known_for is all"),
        ("approved", {"parcelling_factor": 2}, "needs reject_inference: parcelling"),
    ],
)
def test_contract_refuses_what_has_no_effect(
    known_for: str, training: dict[str, object], message: str
) -> None:
    raw = contract().model_dump()
    raw["outcomes"] = {"known_for": known_for}
    with pytest.raises(ValueError, match=message):
        Contract.model_validate(raw | {"training": raw["training"] | training})
