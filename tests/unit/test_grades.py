"""Grades and their tests against independent implementations, and scales of the contract."""

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from loan_scoring.contract import Contract
from loan_scoring.models.estimators import Calibrated
from loan_scoring.models.grading import Scale, fitted_scale, grade_figures, scale_of
from loan_scoring.models.long_run import before_shift, move_to_rate
from loan_scoring.models.promotion.exchange import migration_matrix
from loan_scoring.statistics.calibration import recalibrate
from loan_scoring.statistics.grades import (
    Step,
    hosmer_lemeshow,
    isotonic_steps,
    jeffreys_interval,
    jeffreys_p,
    merge_steps,
)


def drawn(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and the probabilities that they were drawn by, shape (rows,) each."""
    dice = np.random.default_rng(seed)
    probability = dice.beta(1.2, 6, rows).round(3)
    return (dice.random(rows) < probability).astype(int), probability


def with_grades(contract: Contract, grades: Any) -> Contract:
    return Contract.model_validate(contract.model_dump() | {"grades": grades})


def test_isotonic_steps_are_those_of_scikit_learn() -> None:
    y, probability = drawn(4000)
    found = isotonic_steps(y, probability)
    fitted = IsotonicRegression().fit_transform(probability, y)
    assert sum(step.loans for step in found) == 4000
    for step in found:
        within = (probability >= step.lowest) & (probability <= step.highest)
        assert within.sum() == step.loans
        assert fitted[within] == pytest.approx(step.defaults / step.loans)
    rates = [step.defaults / step.loans for step in found]
    assert all(np.diff(rates) > 0)


def likelihood(steps: list[Step]) -> float:
    """Return the log-likelihood of all outcomes, each grade with its own default rate."""
    return sum(
        float(stats.bernoulli.logpmf(1, s.defaults / s.loans) * s.defaults)
        + float(stats.bernoulli.logpmf(0, s.defaults / s.loans) * (s.loans - s.defaults))
        for s in steps
    )


def test_merging_finds_the_best_of_all_groupings() -> None:
    steps = isotonic_steps(*drawn(3000))
    for count in (2, 3, 4):
        best = merge_steps(steps, count)
        assert len(best) == count
        every = []
        for cuts in combinations(range(1, len(steps)), count - 1):
            ends = [0, *cuts, len(steps)]
            merged = [
                Step(
                    steps[begin].lowest,
                    steps[end - 1].highest,
                    sum(step.loans for step in steps[begin:end]),
                    sum(step.defaults for step in steps[begin:end]),
                )
                for begin, end in pairwise(ends)
            ]
            if all(s.loans >= 30 and min(s.defaults, s.loans - s.defaults) >= 10 for s in merged):
                every.append((likelihood(merged), merged))
        assert max(every, key=lambda each: each[0])[1] == best


def test_too_many_grades_become_as_many_as_the_loans_allow() -> None:
    steps = isotonic_steps(*drawn(300))
    found = merge_steps(steps, 20)
    assert 1 < len(found) < 20
    assert min(min(s.defaults, s.loans - s.defaults) for s in found) >= 10
    assert merge_steps([Step(0.1, 0.2, 50, 3)], 5) == [Step(0.1, 0.2, 50, 3)]


def test_jeffreys_is_the_beta_posterior() -> None:
    for defaults, loans, pd in ((3, 40, 0.1), (0, 25, 0.02), (25, 25, 0.9), (400, 2000, 0.19)):
        posterior = stats.beta(defaults + 0.5, loans - defaults + 0.5)
        assert jeffreys_p(defaults, loans, pd) == pytest.approx(posterior.cdf(pd), abs=1e-12)
        low, high = jeffreys_interval(defaults, loans)
        assert low == (0 if defaults == 0 else pytest.approx(posterior.ppf(0.025)))
        assert high == (1 if defaults == loans else pytest.approx(posterior.ppf(0.975)))


def test_hosmer_lemeshow_is_pearsons_statistic_of_defaults_and_paid_loans() -> None:
    loans, defaults = np.array([500, 300, 200, 0]), np.array([20, 35, 61, 0])
    pd = np.array([0.05, 0.1, 0.3, 0.5])
    found = hosmer_lemeshow(loans, defaults, pd)
    n, d, p = loans[:3], defaults[:3], pd[:3]
    observed = np.concatenate([d, n - d])
    expected = np.concatenate([n * p, n * (1 - p)])
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert found is not None
    assert found.statistic == pytest.approx(statistic)
    assert (found.freedom, found.p_value) == (3, pytest.approx(stats.chi2.sf(statistic, 3)))
    assert hosmer_lemeshow([0], [0], [0.5]) is None


def test_hosmer_lemeshow_of_right_probabilities_is_uniform() -> None:
    scale = Scale(list("ABCDE"), [0.05, 0.1, 0.2, 0.4])
    p_values = []
    for seed in range(300):
        y, probability = drawn(2000, seed)
        p_values.append(
            grade_figures(scale, y, probability, probability)["hosmer_lemeshow"]["p_value"]
        )
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_derived_grades_are_monotone_and_cut_the_calibrated_probabilities(
    loan_default: Contract,
) -> None:
    y, raw = drawn(8000)
    steps = isotonic_steps(y, raw)
    merged = merge_steps(steps, 5)
    scale = fitted_scale(with_grades(loan_default, 5), steps, 1.1, 0.2, 0.0)
    assert scale is not None
    assert scale.names == ["A", "B", "C", "D", "E"]
    places = scale.places(recalibrate(raw, 1.1, 0.2))
    assert np.bincount(places).tolist() == [step.loans for step in merged]
    assert scale.pds == pytest.approx([step.defaults / step.loans for step in merged])
    assert scale.pds == sorted(scale.pds)
    evaluation = {"grades": {"asked": 5, "scale": scale.as_json()}}
    assert scale_of(with_grades(loan_default, 5), evaluation) == scale
    assert scale_of(with_grades(loan_default, None), evaluation) is None


def test_declared_grade_begins_at_the_limit_of_the_one_before(loan_default: Contract) -> None:
    declared = [{"grade": "A", "below": 0.02}, {"grade": "B", "below": 0.1}, {"grade": "C"}]
    scale = scale_of(with_grades(loan_default, declared), None)
    assert scale is not None
    found = scale.grades(np.array([0.0, 0.02, 0.0999, 0.1, 1.0, np.nan]))
    assert found.to_pylist() == ["A", "B", "B", "C", "C", None]


@pytest.mark.parametrize(
    ("grades", "message"),
    [
        ([{"grade": "A", "below": 0.1}, {"grade": "A"}], "declared twice"),
        ([{"grade": "A", "below": 0.1}, {"grade": "B", "below": 0.2}], "leave out below"),
        ([{"grade": "A"}, {"grade": "B"}], "give below"),
        ([{"grade": "A", "below": 0.2}, {"grade": "B", "below": 0.1}, {"grade": "C"}], "ascending"),
        (1, "greater than or equal to 2"),
    ],
)
def test_wrong_scale_is_refused(loan_default: Contract, grades: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        with_grades(loan_default, grades)


def test_policy_has_the_scale_only_if_the_contract_has_one(loan_default: Contract) -> None:
    bare = with_grades(loan_default, None)
    assert "grades" not in bare.policy
    declared = with_grades(loan_default, [{"grade": "A", "below": 0.1}, {"grade": "B"}])
    assert bare.under(declared.policy).grades == declared.grades
    assert declared.under(bare.policy).grades is None


@pytest.mark.parametrize("is_calibrated", [False, True])
def test_long_run_rate_is_the_mean_and_is_undone(is_calibrated: bool) -> None:
    y, probability = drawn(2000)
    X = np.column_stack([probability, probability**2])
    last: Any = LogisticRegression().fit(X, y)
    if is_calibrated:
        classes = last.classes_
        last = Calibrated(last, 1.2, -0.3)
        last.classes_ = classes
    model = Pipeline([("encode", "passthrough"), ("classify", last)])
    before = model.predict_proba(X)[:, 1]
    moved, figures = move_to_rate(model, before, 0.3)
    after = moved.predict_proba(X)[:, 1]
    assert after.mean() == pytest.approx(0.3, abs=1e-9)
    assert figures["mean_before"] == pytest.approx(before.mean())
    assert np.diff(logit(after) - logit(before)) == pytest.approx(0, abs=1e-9)
    assert before_shift({"long_run": figures}, after) == pytest.approx(before, abs=1e-12)


def test_migration_matrix_counts_each_loan_once() -> None:
    y, old = drawn(1000)
    new = np.clip(old + 0.05, 0, 1)
    before, after = Scale(["A", "B"], [0.1]), Scale(["A", "B", "C"], [0.1, 0.2])
    found = migration_matrix(before, old, after, new, y)
    loans = np.array(found["loans"])
    assert loans.sum(axis=1).tolist() == [(old < 0.1).sum(), (old >= 0.1).sum()]
    assert loans.sum(axis=0).tolist() == [
        (new < 0.1).sum(), ((new >= 0.1) & (new < 0.2)).sum(), (new >= 0.2).sum()
    ]  # fmt: skip
    assert np.array(found["defaults"]).sum() == y.sum()
