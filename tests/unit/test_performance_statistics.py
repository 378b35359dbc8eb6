"""Compare estimated, realised and by-group figures with independent implementations."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as sklearn

from loan_scoring.contract import Contract, PerformancePolicy
from loan_scoring.monitoring.performance.estimated import (
    ESTIMATED_METRICS,
    draw_defaults,
    estimate_metrics,
    expected_metrics,
    metrics_of_draws,
    prediction_limits,
)
from loan_scoring.monitoring.performance.loss import (
    draw_losses,
    expected_loss,
    exposures,
    losses,
    realised_loss,
    realised_loss_given_default,
)
from loan_scoring.monitoring.performance.realised import (
    REALISED_METRICS,
    default_rate_by_decile,
    realised_metrics,
)
from loan_scoring.statistics import fairness, group_differences
from loan_scoring.statistics.auc import delong
from loan_scoring.statistics.bins import ProbabilityBins, group_by_probability
from loan_scoring.statistics.calibration import log_odds
from loan_scoring.statistics.calibration_curve import (
    AS_THEY_ARE,
    DEGREE,
    CalibrationCurve,
    fit_calibration_curve,
)
from loan_scoring.statistics.intervals import Estimate
from loan_scoring.statistics.labels import Labels
from loan_scoring.statistics.model_metrics import holdout_metrics

POLICY = PerformancePolicy()
THRESHOLD = 0.3


def scores(rows: int, seed: int, digits: int | None = None) -> np.ndarray:
    """Return probabilities of default of a batch, rounded (so that some are equal) to `digits`."""
    found = np.random.default_rng(seed).beta(1.2, 6, rows)
    return found if digits is None else found.round(digits)


def outcomes(probability: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(probability)) < probability).astype(int)


def binned(
    probability: np.ndarray, drawn: np.ndarray, threshold: float = THRESHOLD
) -> tuple[ProbabilityBins, float, np.ndarray]:
    """Return what `metrics_of_draws` takes, from the outcomes of single loans."""
    bins = group_by_probability(probability, threshold)
    counts = [np.bincount(bins.places, y, len(bins.loans)) for y in drawn]
    return bins, threshold, np.array(counts)


def estimated(
    probability: np.ndarray, curve: CalibrationCurve, threshold: float = THRESHOLD
) -> dict[str, Estimate]:
    bins = group_by_probability(probability, threshold)
    return estimate_metrics(probability, bins, curve, threshold, 200, 1)


def ks_of(y: np.ndarray, p: np.ndarray) -> float:
    return float(stats.ks_2samp(p[y == 1], p[y == 0]).statistic)


@pytest.mark.parametrize("digits", [None, 2])
def test_metrics_of_outcomes_are_those_of_scikit_learn_and_scipy(digits: int | None) -> None:
    p = scores(400, 1, digits)
    drawn = np.stack([outcomes(p, seed) for seed in range(20)])
    found = metrics_of_draws(*binned(p, drawn))
    for place, y in enumerate(drawn):
        theirs = {
            "default_rate": y.mean(),
            "auc": sklearn.roc_auc_score(y, p),
            "gini": 2 * sklearn.roc_auc_score(y, p) - 1,
            "ks": ks_of(y, p),
            "f1": sklearn.f1_score(y, p >= THRESHOLD),
            "precision": sklearn.precision_score(y, p >= THRESHOLD),
            "recall": sklearn.recall_score(y, p >= THRESHOLD),
            "brier": sklearn.brier_score_loss(y, p),
            "log_loss": sklearn.log_loss(y, p),
        }
        assert {name: values[place] for name, values in found.items()} == pytest.approx(theirs)


@pytest.mark.parametrize("digits", [None, 1])
def test_expected_metrics_are_those_of_all_pairs_and_cells(digits: int | None) -> None:
    p = scores(60, 2, digits)
    true = np.clip(p * 1.1, 0, 1)
    pairs = [
        (true[i] * (1 - true[j]), (p[i] > p[j]) + 0.5 * (p[i] == p[j]))
        for i in range(60)
        for j in range(60)
        if i != j
    ]
    hits = sum(t for t, s in zip(true, p, strict=True) if s >= THRESHOLD)
    taken, bad = sum(s >= THRESHOLD for s in p), sum(true)
    auc = sum(weight * wins for weight, wins in pairs) / sum(weight for weight, _ in pairs)
    by_hand = {
        "default_rate": bad / 60,
        "auc": auc,
        "gini": 2 * auc - 1,
        "f1": 2 * hits / (2 * hits + (taken - hits) + (bad - hits)),
        "precision": hits / taken,
        "recall": hits / bad,
        "brier": np.mean([t * (1 - s) ** 2 + (1 - t) * s**2 for t, s in zip(true, p, strict=True)]),
    }
    found = expected_metrics(p, true, THRESHOLD)
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)


def test_expected_metrics_are_the_mean_of_what_may_be_realised() -> None:
    p = scores(2000, 3)
    bins = group_by_probability(p, THRESHOLD)
    drawn = draw_defaults(bins, AS_THEY_ARE, 4000, 1)
    per_draw = metrics_of_draws(bins, THRESHOLD, drawn)
    for name, value in expected_metrics(p, p, THRESHOLD).items():
        error = np.std(per_draw[name]) / np.sqrt(len(drawn))
        # A ratio of expectations is off by a thousandth of its spread; five errors are for noise.
        assert value == pytest.approx(np.mean(per_draw[name]), abs=5 * error), name


def bent(probability: np.ndarray) -> np.ndarray:
    """Return true probabilities where high scores are too low, as on real loans."""
    odds = log_odds(probability)
    return 1 / (1 + np.exp(-(odds + 0.1 + 0.1 * np.clip(odds + 2, 0, None) ** 2)))


def test_curve_is_the_mode_and_the_error_that_scipy_finds() -> None:
    p = scores(3000, 4)
    y = outcomes(bent(p), 5)
    found = fit_calibration_curve(y, p)
    odds = log_odds(p)
    place = np.clip(2 * (odds - found.lowest) / (found.highest - found.lowest) - 1, -1, 1)

    def loss(c: np.ndarray) -> float:
        z = odds + c[0] + c[1] * place + c[2] * place**2 + c[3] * place**3
        return float(np.sum(np.logaddexp(0, z) - y * z) + c @ c / 2)

    theirs = optimize.minimize(loss, np.zeros(DEGREE + 1), method="BFGS", tol=1e-9)
    assert found.coefficients == pytest.approx(theirs.x, abs=1e-4)
    step = 1e-3 * np.eye(DEGREE + 1)
    hessian = [
        [
            sum(
                a * b * loss(theirs.x + a * i + b * j) for a in (1, -1) for b in (1, -1)
            ) / (4 * 1e-6)
            for j in step
        ]
        for i in step
    ]  # fmt: skip
    assert np.array(found.covariance) == pytest.approx(np.linalg.inv(hessian), rel=0.01, abs=1e-6)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        (np.zeros(50), scores(50, 1)),
        (np.ones(50), np.full(50, 0.2)),
        (np.repeat([0, 1], 50), np.repeat([0.0, 1.0], 50)),
    ],
)
def test_curve_of_few_odd_loans_is_finite(y: np.ndarray, p: np.ndarray) -> None:
    found = fit_calibration_curve(y, p)
    assert np.isfinite([*found.coefficients, *np.ravel(found.covariance)]).all()
    assert ((found.corrected(p) >= 0) & (found.corrected(p) <= 1)).all()


@pytest.mark.parametrize("is_bent", [False, True])
def test_interval_covers_the_realised_value_at_its_stated_rate(is_bent: bool) -> None:
    batches, covered = 400, dict.fromkeys(ESTIMATED_METRICS, 0)
    for seed in range(batches):
        p, held = scores(1000, seed), scores(3000, 10_000 + seed)
        true, true_held = (bent(p), bent(held)) if is_bent else (p, held)
        known = fit_calibration_curve(outcomes(true_held, 20_000 + seed), held)
        found = estimated(p, known)
        y = outcomes(true, 30_000 + seed)[None, :]
        for name, (value,) in metrics_of_draws(*binned(p, y)).items():
            lower, upper = found[name].lower, found[name].upper
            assert lower is not None
            assert upper is not None
            covered[name] += bool(lower <= value <= upper)
    # What 400 batches at a rate of 95 % give in 99.98 % of all cases, each metric.
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], batches, 0.95)
    assert all(low <= count <= high for count in covered.values()), covered


def test_without_the_holdouts_error_intervals_would_cover_too_seldom() -> None:
    covered, batches = 0, 300
    for seed in range(batches):
        p, held = scores(4000, seed), scores(1000, 10_000 + seed)
        known = fit_calibration_curve(outcomes(held, 20_000 + seed), held)
        blind = CalibrationCurve(
            known.coefficients, np.zeros((4, 4)).tolist(), known.lowest, known.highest
        )
        bins = group_by_probability(p, THRESHOLD)
        drawn = draw_defaults(bins, blind, 200, 1)
        lower, upper = prediction_limits(drawn.sum(axis=1) / len(p))
        assert lower is not None
        assert upper is not None
        covered += lower <= outcomes(p, 30_000 + seed).mean() <= upper
    assert covered < 0.8 * batches


def test_metric_without_a_value_is_left_out() -> None:
    p = np.full(50, 0.1)
    found = estimated(p, AS_THEY_ARE, 0.5)
    assert "precision" not in found
    assert found["auc"].value == pytest.approx(0.5)


def test_realised_metrics_are_those_of_the_holdout() -> None:
    p = scores(1500, 6)
    y = outcomes(p, 7)
    found = realised_metrics(y, p, THRESHOLD, 200, 1)
    theirs = holdout_metrics(y, p, THRESHOLD)
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {name: theirs[name] for name in ("default_rate", *REALISED_METRICS)}
    )
    for name, each in found.items():
        assert each.lower is not None, name
        assert each.upper is not None, name
        assert each.lower <= each.value <= each.upper, name


def test_one_outcome_alone_ranks_nothing() -> None:
    found = realised_metrics(np.zeros(40, dtype=int), scores(40, 1), THRESHOLD, 200, 1)
    assert list(found) == ["default_rate"]
    assert found["default_rate"].value == 0
    nobody = realised_metrics(outcomes(scores(400, 1), 2), scores(400, 1), 1.0, 200, 1)
    assert "precision" not in nobody


def test_rates_by_decile_are_those_of_pandas() -> None:
    p, edges = scores(3000, 8, 2), np.quantile(scores(3000, 9, 2), np.arange(1, 10) / 10).tolist()
    y = outcomes(p, 10)
    theirs = pd.Series(y).groupby(pd.cut(p, [-1, *edges, 2], right=False, labels=False))
    found = default_rate_by_decile(y, p, edges)
    assert [each[0].value for each in found if each] == pytest.approx(theirs.mean().tolist())
    assert [each[1] for each in found if each] == theirs.count().tolist()
    assert default_rate_by_decile(y[:1], np.array([0.9]), [0.5, 0.8])[:2] == [None, None]


@pytest.mark.parametrize("digits", [None, 1])
def test_delong_is_that_of_its_definition(digits: int | None) -> None:
    p = scores(500, 11, digits)
    y = outcomes(p, 12)
    above = p[y == 1][:, None] - p[y == 0][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    variance = np.var(wins.mean(axis=1), ddof=1) / y.sum()
    variance += np.var(wins.mean(axis=0), ddof=1) / (y == 0).sum()
    auc, error = delong(y, p)
    assert auc == pytest.approx(sklearn.roc_auc_score(y, p))
    assert error == pytest.approx(math.sqrt(variance))


def test_delong_agrees_with_a_bootstrap() -> None:
    p = scores(2000, 13)
    y = outcomes(p, 14)
    found = realised_metrics(y, p, THRESHOLD, 2000, 1)["auc"]
    assert found.lower is not None
    assert found.upper is not None
    assert (found.upper - found.lower) / (2 * 1.96) == pytest.approx(delong(y, p)[1], rel=0.07)


GROUPS = ["a", "b", "c"]


def grouped(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the group, outcome and approval of each loan."""
    dice = np.random.default_rng(seed)
    values = dice.choice(GROUPS, rows, p=[0.5, 0.3, 0.2])
    y = (dice.random(rows) < 0.2).astype(int)
    rate = np.where(values == "a", 0.8, 0.65) - 0.3 * y
    return values, y, dice.random(rows) < rate


def test_fairness_is_that_of_fairlearn() -> None:
    values, y, approved = grouped(2000, 1)
    told: dict[str, Any] = {
        "y_true": 1 - y, "y_pred": approved.astype(int), "sensitive_features": values,
    }  # fmt: skip
    found = group_differences.demographic_parity(
        group_differences.count_by_group(Labels.of(values), GROUPS, approved), 200, 1
    )
    kinds = [
        group_differences.count_by_group(Labels.of(values[y == kind]), GROUPS, approved[y == kind])
        for kind in (0, 1)
    ]
    found |= group_differences.equal_odds(kinds[0], kinds[1], 200, 1)
    assert list(found) == [
        "demographic_parity_difference",
        "demographic_parity_ratio",
        "equal_opportunity_difference",
        "equalized_odds_difference",
    ]
    for name, each in found.items():
        assert each.value == pytest.approx(getattr(fairlearn, name)(**told)), name
        assert each.lower is not None
        assert each.upper is not None
        assert each.lower <= each.value <= each.upper


def test_resamples_of_counts_are_those_of_loans() -> None:
    values, _, approved = grouped(600, 2)
    counts = group_differences.count_by_group(Labels.of(values), GROUPS, approved)
    ours = counts.resampled(4000, np.random.default_rng(1))
    dice = np.random.default_rng(2)
    for place, group in enumerate(GROUPS):
        own = approved[values == group]
        theirs = [dice.choice(own, len(own)).mean() for _ in range(4000)]
        assert stats.ks_2samp(ours[:, place], theirs).pvalue > 1e-3


@pytest.mark.parametrize("rates", [[0.7, 0.7], [0.7, 0.7, 0.7, 0.7], [0.8, 0.7, 0.5]])
def test_interval_of_a_gap_covers_it_at_least_at_its_stated_rate(rates: list[float]) -> None:
    dice, covered = np.random.default_rng(3), np.zeros(2)
    loans = np.array([600, 500, 400, 300])[: len(rates)]
    true = (max(rates) - min(rates), min(rates) / max(rates))
    for seed in range(400):
        counts = group_differences.GroupCounts(loans, dice.binomial(loans, rates))
        found = group_differences.demographic_parity(counts, 200, seed).values()
        covered += [e.lower <= t <= e.upper for e, t in zip(found, true, strict=True)]
    assert (covered >= stats.binom.ppf(1e-4, 400, 0.95)).all(), covered


def test_nobody_approved_is_nobody_approved_less() -> None:
    counts = group_differences.GroupCounts(np.array([300, 200]), np.array([0, 0]))
    found = group_differences.demographic_parity(counts, 200, 1)
    assert found["demographic_parity_ratio"].value == 1
    assert found["demographic_parity_difference"] == Estimate(0, 0, 0)
    assert (
        group_differences.equal_odds(
            counts, group_differences.GroupCounts(np.array([3, 0]), np.array([1, 0])), 200, 1
        )
        == {}
    )


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 1)), min_size=2, max_size=5))
def test_limits_are_numbers_however_few_are_approved(groups: list[tuple[int, float]]) -> None:
    loans = np.array([size for size, _ in groups])
    counts = group_differences.GroupCounts(
        loans, np.array([int(size * share) for size, share in groups])
    )
    found = group_differences.demographic_parity(counts, 200, 1) | group_differences.equal_odds(
        counts, counts, 200, 1
    )
    for each in found.values():
        assert 0 <= each.lower <= each.value <= each.upper <= 1, found


def test_ratio_may_be_anything_where_hardly_anybody_of_a_group_is_approved() -> None:
    counts = group_differences.GroupCounts(np.array([300, 300, 300]), np.array([1, 2, 90]))
    found = group_differences.demographic_parity(counts, 200, 1)["demographic_parity_ratio"]
    assert (found.lower, found.upper) == (0, 1)


def test_groups_are_those_of_fairlearn_and_told_without_outcomes(loan_default: Contract) -> None:
    values: list[str | None] = ["Male"] * 300 + ["Female"] * 290 + [None] * 11
    approved, y = np.arange(601) % 3 > 0, (np.arange(601) % 7 == 0).astype(float)
    stated = Labels.of([value or fairness.NOT_STATED for value in values])
    found = fairness.groups_in_order(loan_default.group_rule("gender"), stated, y, approved)
    theirs = fairlearn.MetricFrame(
        metrics={
            "rows": fairlearn.count,
            "approval_rate": fairlearn.selection_rate,
            "default_rate": lambda y_true, y_pred: y_true.mean(),  # noqa: ARG005 (its form)
        },
        y_true=y,
        y_pred=approved.astype(int),
        sensitive_features=[value or fairness.NOT_STATED for value in values],
    ).by_group
    assert [group["group"] for group in found] == ["Male", "Female", "not stated"]
    assert [group["left_out"] for group in found] == [None, None, "fewer than 200 loans"]
    for group in found:
        for name in theirs.columns:
            assert group[name] == pytest.approx(theirs.loc[group["group"], name])
    unknown = np.full(601, np.nan)
    before = fairness.groups_in_order(loan_default.group_rule("gender"), stated, unknown, approved)
    assert {group["default_rate"] for group in before} == {None}


def test_losses_are_sums_over_loans() -> None:
    p = scores(3000, 17)
    amount = np.random.default_rng(18).lognormal(12, 0.6, 3000)
    exposure = exposures(amount, 0.45)
    found = expected_loss(
        p, exposure, draw_losses(p, np.arange(3000), exposure, AS_THEY_ARE, 2000, 1)
    )
    by_hand = sum(each * 0.45 * lent for each, lent in zip(p, amount, strict=True))
    deviation = math.sqrt(np.sum(p * (1 - p) * exposure**2))
    assert found.value == pytest.approx(by_hand)
    assert found.lower == pytest.approx(by_hand - 1.96 * deviation, rel=0.02)
    assert found.upper == pytest.approx(by_hand + 1.96 * deviation, rel=0.02)
    y = outcomes(p, 19)
    assert realised_loss(y, exposure).value == pytest.approx(
        sum(0.45 * lent for bad, lent in zip(y, amount, strict=True) if bad)
    )


def test_recovered_amounts_replace_the_assumed_loss() -> None:
    amount, exposure = np.array([100.0, 200.0, 50.0, 80.0]), np.array([45.0, 90.0, 22.5, 36.0])
    recovered = np.array([30.0, np.nan, 60.0, 10.0])
    lost = losses(exposure, amount, recovered)
    assert lost.tolist() == [70.0, 90.0, 0.0, 70.0]  # more than the amount: nothing is lost
    assert realised_loss(np.array([1, 1, 1, 0]), lost).value == 160.0


def test_loss_given_default_is_a_ratio_with_the_interval_of_scipys_bootstrap() -> None:
    dice = np.random.default_rng(30)
    amount = dice.lognormal(10, 0.7, 400)
    recovered = amount * dice.beta(2, 3, 400)
    found = realised_loss_given_default(amount, recovered)
    assert found is not None
    assert found.value == pytest.approx(sum(amount - recovered) / sum(amount))
    interval = stats.bootstrap(
        (amount, recovered),
        lambda a, r: (a - r).sum() / a.sum(),
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(31),
    ).confidence_interval
    width = interval.high - interval.low
    assert [found.lower, found.upper] == pytest.approx(
        [interval.low, interval.high], abs=width / 10
    )
    assert realised_loss_given_default(amount[:0], recovered[:0]) is None
    alone = realised_loss_given_default(amount[:1], recovered[:1])
    assert alone is not None
    assert (alone.lower, alone.upper) == (None, None)
