"""Mitigation of unfairness against fairlearn, by enumeration, and on loans with a known bias."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equalized_odds_difference,
    selection_rate,
)
from fairlearn.reductions import (
    DemographicParity,
    EqualizedOdds,
    ErrorRate,
    FalsePositiveRateParity,
)
from pydantic import ValidationError

from loan_scoring.contract import Contract
from loan_scoring.models.contributions import Contributions
from loan_scoring.models.encoding import Encoder, split_columns
from loan_scoring.models.fitted import FittedModel
from loan_scoring.models.promotion.mitigation_gate import mitigation_gate
from loan_scoring.models.training.alternatives import (
    choose_alternative,
    fit_alternatives,
    learning_set,
)
from loan_scoring.models.training.candidates import Trial, build_candidate, fit_pipeline
from loan_scoring.models.training.cross_validation import TrialResult, choose_trial, cross_validate
from loan_scoring.models.training.disparity import (
    compared_groups,
    count_approvals,
    disparity,
    disparity_of,
    least_discriminatory,
    protected_labels,
)
from loan_scoring.models.training.fit import fit_pair, split_rows
from loan_scoring.models.training.mitigation import approval_parity
from loan_scoring.models.training.rows import TrainingRows
from loan_scoring.statistics.calibration import fit_calibration_line, log_odds
from loan_scoring.statistics.labels import Labels
from loan_scoring.statistics.mitigation import (
    EVENTS,
    NO_GROUP,
    group_thresholds,
    reweighing,
    signed_weights,
)

ROWS = 8000
MODEL_KINDS = ["least_discriminatory", "reweighing", "exponentiated_gradient"]
KNOWN = {"known": "application"}
MOMENTS = {
    "demographic_parity": DemographicParity,
    "equal_opportunity": FalsePositiveRateParity,
    "equalized_odds": EqualizedOdds,
}


def contract(mitigation: dict[str, Any] | None = None, **training: object) -> Contract:
    part = {} if mitigation is None else {"mitigation": {"attribute": "sex"} | mitigation}
    return Contract.model_validate(
        {
            "portfolio": "tiny",
            "title": "Tiny",
            "owner": "nobody",
            "target": {"source": "bad", "positive": ["1"], "negative": ["0"]},
            "decision": {"approve_below": 0.2, "decline_from": 0.4},
            "protected": ["sex"],
            "promotion": {
                "fairness": {
                    "not_a_group": [{"attribute": "sex", "level": "both", "reason": "two people"}]
                }
            },
            "training": {
                "personas": 3, "resamples": 100, "folds": 3,
                "candidates": {
                    "hist_gradient_boosting": [{"max_iter": 20, "max_leaf_nodes": 8}],
                    "xgboost": [{"n_estimators": 20, "max_depth": 3, "learning_rate": 0.2}],
                },
            } | part | training,
            "columns": [
                {**KNOWN, "source": "id", "name": "loan_id", "label": "Id", "type": "integer"},
                {**KNOWN, "source": "a", "name": "amount", "label": "Amount", "type": "number",
                 "direction": "up"},
                {**KNOWN, "source": "p", "name": "proxy", "label": "Proxy", "type": "number"},
                {**KNOWN, "source": "s", "name": "sex", "label": "Sex", "type": "category",
                 "levels": ["f", "m", "both"]},
            ],
        }
    )  # fmt: skip


def loans(seed: int = 1) -> TrainingRows:
    """Loans whose proxy stands for the sex, and gives the women's higher default rate away."""
    dice = np.random.default_rng(seed)
    sex = dice.choice(["f", "m", "both"], ROWS, p=[0.4, 0.5, 0.1])
    amount = dice.normal(size=ROWS)
    proxy = (sex == "f") + dice.normal(size=ROWS) * 0.7
    odds = -1.4 + amount + 0.5 * (sex == "f")
    table = pa.table(
        {
            "loan_id": np.arange(ROWS),
            "amount": amount,
            "proxy": proxy,
            "sex": sex,
            "is_default": dice.random(ROWS) < 1 / (1 + np.exp(-odds)),
        }
    )
    return TrainingRows("fingerprint", table, [], {}, ["amount", "proxy"])


def tried(of: Contract, training: TrainingRows) -> list[TrialResult]:
    parts = split_rows(of, training)
    trials = [
        Trial(f"{name}-1", place, name, each[0])
        for place, (name, each) in enumerate(of.training.candidates.items())
    ]
    groups = protected_labels(of, training.table, parts.learn)
    return [
        cross_validate(of, parts.features, trial, parts.X.iloc[parts.learn], parts.y[parts.learn],
                       groups=groups)
        for trial in trials
    ]  # fmt: skip


def fitted(of: Contract) -> FittedModel:
    training = loans()
    results = tried(of, training)
    return fit_pair(of, training, choose_trial(results), None, results)[0]


def random_rows(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    return dice.integers(0, 2, 500), dice.integers(-1, 3, 500)


def test_reweighing_makes_outcome_and_group_independent() -> None:
    y, group = random_rows()
    weights = reweighing(y, group)
    kept = group != NO_GROUP
    assert (weights[~kept] == 1).all()
    for g in range(3):
        for outcome in (0, 1):
            cell = kept & (group == g) & (y == outcome)
            expected = (group[kept] == g).mean() * (y[kept] == outcome).mean()
            assert weights[cell].sum() / kept.sum() == pytest.approx(expected)
    for g in range(3):  # the sums by group and by outcome stay
        assert weights[group == g].sum() == pytest.approx((group == g).sum())
    assert weights[kept & (y == 1)].sum() == pytest.approx(y[kept].sum())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:fairlearn")  # of pandas 4
@pytest.mark.parametrize("measure", MOMENTS)
def test_costs_are_those_of_fairlearn(measure: str) -> None:
    y, group = random_rows()
    kept = group != NO_GROUP
    for rows, moment in (
        (kept, MOMENTS[measure](difference_bound=0.01)),
        (np.ones(len(y), dtype=bool), approval_parity(measure, 0.01)),
    ):
        labels, groups = pd.Series(y[rows]), pd.Series(group[rows])
        objective = ErrorRate(costs={"fp": 0.2, "fn": 0.8})
        moment.load_data(np.zeros((rows.sum(), 1)), labels, sensitive_features=groups)
        objective.load_data(np.zeros((rows.sum(), 1)), labels, sensitive_features=groups)
        dice = np.random.default_rng(1)
        vector = pd.Series(dice.random(len(moment.index)), moment.index)
        signed = vector["+"] - vector["-"]
        # fairlearn calls its events "all", "label=0" and "label=1".
        events = {"all": None} | {f"{prefix}{e}": e for prefix in ("", "label=") for e in (0, 1)}
        multipliers = {(events[event], g): value for (event, g), value in signed.items()}
        assert {event for event, _ in multipliers} == set(EVENTS[measure])
        theirs = objective.signed_weights() + moment.signed_weights(vector)
        ours = signed_weights(y[rows], group[rows], 0.2, multipliers)
        assert ours == pytest.approx(theirs.to_numpy(), abs=1e-12)


@pytest.mark.parametrize("measure", MOMENTS)
def test_thresholds_approve_all_groups_at_one_rate(measure: str) -> None:
    y, group = random_rows()
    p = np.clip(0.1 * group + np.random.default_rng(2).random(500) * 0.6, 0.01, 0.99)
    found = group_thresholds(p, y, group, 0.3, measure)
    approved = p < np.array(found)[group]
    counted = (group != NO_GROUP) & ((y == 0) | (measure == "demographic_parity"))
    frame = MetricFrame(
        metrics=selection_rate, y_true=y[counted], y_pred=approved[counted].astype(int),
        sensitive_features=group[counted],
    )  # fmt: skip
    smallest = min(np.bincount(group[counted]))
    assert frame.difference() <= 1 / smallest
    assert approved[counted].mean() == pytest.approx((p[counted] < 0.3).mean(), abs=2 / smallest)


def test_disparity_is_that_of_fairlearn() -> None:
    of = contract()
    dice = np.random.default_rng(5)
    y, approved = dice.integers(0, 2, 3000), dice.random(3000) < 0.3
    sex = dice.choice(["f", "m", "both"], 3000)
    approved |= (sex == "m") & (dice.random(3000) < 0.2)
    counts = count_approvals(of, {"sex": Labels.of(sex)}, y, approved)["sex"]
    assert counts["groups"] == ["f", "m"]
    kept = sex != "both"
    rows = {"sensitive_features": sex[kept]}
    paid, accepted = 1 - y[kept], approved[kept].astype(int)
    for measure, expected in (
        ("demographic_parity", 1 - demographic_parity_ratio(paid, accepted, **rows)),
        ("equal_opportunity", equal_opportunity_difference(paid, accepted, **rows)),
        ("equalized_odds", equalized_odds_difference(paid, accepted, **rows)),
    ):
        assert disparity(counts, measure) == pytest.approx(expected)


def test_groups_of_a_training_set_are_those_that_the_holdout_compares() -> None:
    of = contract()  # at least 200 loans in a quarter, so 600 in the other three
    sex = Labels.of(["f"] * 599 + ["m"] * 600 + ["both"] * 900)
    assert compared_groups(of, "sex", sex) == ["m"]
    assert compared_groups(of, "sex", sex, is_holdout=True) == ["f", "m"]


def result(place: int, auc: float, approved: int) -> TrialResult:
    counts = {"groups": ["f", "m"], "loans": [100, 100], "approved": [approved, 50],
              "paid": [80, 80], "paid_approved": [approved, 50]}  # fmt: skip
    folds = [{"auc": auc - 0.02}, {"auc": auc}, {"auc": auc + 0.02}]
    trial = Trial(f"t-{place}", place, "xgboost", {})
    return TrialResult(trial, folds, 1, 0, 0, None, {"sex": counts})


def test_least_discriminatory_trial_is_near_the_best() -> None:
    of = contract()
    plain, fairer, poor = result(0, 0.80, 25), result(1, 0.79, 40), result(2, 0.70, 50)
    assert least_discriminatory(of, [plain, fairer, poor]) is fairer
    assert least_discriminatory(of, [plain, poor]) is plain
    unknown = TrialResult(plain.trial, plain.folds, 1, 0, 0)
    assert least_discriminatory(of, [unknown]) is None


@pytest.mark.parametrize("kind", ["reweighing", "exponentiated_gradient"])
def test_what_may_be_promoted_is_fitted_where_it_is_fairer(kind: str) -> None:
    light = {"candidates": {"hist_gradient_boosting": [{"max_iter": 20, "max_leaf_nodes": 8}]}}
    policy = {"kinds": [kind], "iterations": 3}
    shown, allowed = contract(policy, **light), contract(policy | {"may_promote": [kind]}, **light)
    training = loans()
    results = tried(shown, training)
    data = learning_set(shown, training, split_rows(shown, training), None)
    plain = data.fit(None, results[0])
    (other,) = fit_alternatives(data, plain, results)
    unfair, fairer = (disparity_of(shown, each.result) for each in (plain, other))
    assert unfair is not None
    assert fairer is not None
    assert fairer < unfair - 0.05
    assert choose_alternative(shown, plain, [other], results) is plain  # nothing may be promoted
    assert choose_alternative(allowed, plain, [other], results) is other
    far = replace(other, result=replace(other.result, folds=[{"auc": 0.6}] * 3))
    assert choose_alternative(allowed, plain, [far], results) is plain
    failed = replace(other, failure="no solution")
    assert choose_alternative(allowed, plain, [failed], results) is plain


@pytest.fixture(scope="module")
def all_kinds() -> tuple[Contract, FittedModel]:
    of = contract({"iterations": 3, "may_promote": MODEL_KINDS})
    return of, fitted(of)


def test_all_kinds_are_measured_on_the_same_holdout(
    all_kinds: tuple[Contract, FittedModel],
) -> None:
    of, model = all_kinds
    assert model.evaluation is not None
    found = model.evaluation["mitigation"]
    assert [each["kind"] for each in found["rows"]] == [
        None, "least_discriminatory", "reweighing", "exponentiated_gradient",
        "threshold_adjustment",
    ]  # fmt: skip
    assert [each["failure"] for each in found["rows"]] == [None] * 5
    assert sum(each["is_chosen"] for each in found["rows"]) == 1
    parts = split_rows(of, loans())
    y, sex = parts.y[parts.test], np.array(loans().table.column("sex").to_pylist())[parts.test]
    assert found["loans"] == len(y)
    # What is registered has the figures of its line, by fairlearn.
    chosen = next(each for each in found["rows"] if each["is_chosen"])
    p = model.estimator.predict_proba(parts.X.iloc[parts.test])[:, 1]
    approved, kept = p < of.decision.approve_below, sex != "both"
    assert chosen["below"]["approve"]["loans"] == approved.sum()
    assert chosen["below"]["approve"]["defaults"] == y[approved].sum()
    assert chosen["auc"]["value"] == pytest.approx(model.metrics["auc"])
    rows = {"sensitive_features": sex[kept]}
    paid, accepted = 1 - y[kept], approved[kept].astype(int)
    (fairness,) = chosen["fairness"]
    for name, value in (
        ("demographic_parity_ratio", demographic_parity_ratio(paid, accepted, **rows)),
        ("equal_opportunity_difference", equal_opportunity_difference(paid, accepted, **rows)),
        ("equalized_odds_difference", equalized_odds_difference(paid, accepted, **rows)),
    ):
        assert fairness[name]["value"] == pytest.approx(value)
        assert fairness[name]["lower"] <= value <= fairness[name]["upper"]
    adjusted = found["rows"][-1]["fairness"][0]["demographic_parity_ratio"]
    assert adjusted["upper"] > 0.97
    assert not found["rows"][-1]["is_chosen"]


def test_mitigated_model_scores_as_others_do(all_kinds: tuple[Contract, FittedModel]) -> None:
    of, model = all_kinds
    assert model.metrics["mitigation"] in MODEL_KINDS
    assert model.features == ["amount", "proxy"]  # never the protected column
    table = loans().table
    encoded = Encoder(model.estimator[0]).encode(split_columns(table, of, model.features))
    contributions = Contributions(model.estimator, model.features)
    p, bins = contributions.probabilities(encoded)
    base, added = contributions.by_feature(encoded, bins)
    assert base + added.sum(axis=1) == pytest.approx(log_odds(p), abs=1e-9)
    # The direction of the amount is kept.
    raised = table.set_column(1, "amount", pa.array(table.column("amount").to_numpy() + 0.5))
    again = Encoder(model.estimator[0]).encode(split_columns(raised, of, model.features))
    assert (contributions.probabilities(again)[0] - p).min() >= -1e-12
    parts = split_rows(of, loans())
    slope = fit_calibration_line(parts.y[parts.test], p[parts.test])
    assert abs(slope.slope - 1) < 3 * slope.standard_error


def test_bins_of_a_scorecard_have_real_outcomes_whatever_is_learnt() -> None:
    pytest.importorskip("optbinning")
    of = contract(candidates={"scorecard": [{}]})
    parts = split_rows(of, loans())
    pipeline = build_candidate(of, parts.features, Trial("scorecard-1", 0, "scorecard", {}))
    y = parts.y
    labels = np.where(np.arange(len(y)) % 3 == 0, 1 - y, y)
    fit_pipeline(pipeline, parts.X, y, np.ones(len(y)), labels)
    numbers = pipeline[0].named_transformers_["numbers"]
    assert [each.sum() for each in numbers.defaults_] == [y.sum()] * 2


def test_kind_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from loan_scoring.models.training import alternatives

    def fail(*_: object) -> None:
        raise ValueError("no solution")

    monkeypatch.setattr(alternatives, "search_multipliers", fail)
    model = fitted(contract({"kinds": ["reweighing", "exponentiated_gradient"]}))
    assert model.evaluation is not None
    rows = model.evaluation["mitigation"]["rows"]
    assert [each["failure"] for each in rows] == [None, None, "ValueError: no solution"]


def test_gate_goes_by_what_the_contract_allows_now() -> None:
    plain, mitigated = {"metrics": {}}, {"metrics": {"mitigation": "reweighing"}}
    assert mitigation_gate(contract(), plain) == []
    (gate,) = mitigation_gate(contract({"may_promote": ["reweighing"]}), mitigated)
    assert gate.passed
    for of in (contract(), contract({})):
        (gate,) = mitigation_gate(of, mitigated)
        assert not gate.passed
        assert "may_promote does not name" in gate.sentence


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"attribute": "amount"}, "training.mitigation.attribute: amount is not listed under"),
        ({"may_promote": ["threshold_adjustment"]}, "unlawful in many places"),
        ({"kinds": ["reweighing"], "may_promote": ["least_discriminatory"]}, "not among kinds"),
        ({"kinds": []}, "at least 1 item"),
    ],
)
def test_contract_refuses_what_cannot_be(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        contract(part)


def test_mitigation_needs_outcomes_that_are_real() -> None:
    with pytest.raises(ValidationError, match="set reject_inference: none"):
        Contract.model_validate(
            contract({}).model_dump()
            | {"outcomes": {"known_for": "approved"}}
            | {"training": contract({}).training.model_dump() | {"reject_inference": "reweighting"}}
        )
