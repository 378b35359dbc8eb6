"""Outcomes against what was expected of the same loans: one night, and many nights added up."""

from itertools import product

import numpy as np
import pytest
from scipy import special, stats

from loan_scoring.contract import PerformancePolicy
from loan_scoring.monitoring.drift.comparison import DriftTest
from loan_scoring.monitoring.performance.outcome_tests import (
    AUC_DROP,
    DEFAULT_RATE,
    MODEL,
    TARGET,
    NightOutcome,
    drifted_outcomes,
    judge_outcomes,
    night_outcomes,
    outcome_tests,
)
from loan_scoring.monitoring.performance.over_nights import over_nights
from loan_scoring.monitoring.performance.sequential import (
    ABOVE_LIMIT,
    LEAST_LIMIT,
    Increment,
    accumulate,
    limit_of,
    night_increment,
    nights_to_alarm,
)
from loan_scoring.statistics.auc import auc, delong, expected_auc
from loan_scoring.statistics.calibration import at_rate, log_odds
from loan_scoring.statistics.calibration_curve import (
    AS_THEY_ARE,
    CalibrationCurve,
    fit_calibration_curve,
)
from loan_scoring.statistics.weighted_sums import (
    SumVariance,
    auc_weights,
    correlation_variance,
    sum_variance,
)

POLICY = PerformancePolicy()
ALONE = PerformancePolicy(default_correlation=0)
Q = 0.001
NO_CURVE = SumVariance(1.0, 0.0, 0.0)


def scores(rows: int, seed: int, digits: int | None = None) -> np.ndarray:
    found = np.random.default_rng(seed).beta(1.2, 6, rows)
    return found if digits is None else found.round(digits)


def outcomes(probability: np.ndarray, seed: int, correlation: float = 0) -> np.ndarray:
    """Draw outcomes of the one-factor model."""
    dice = np.random.default_rng(seed)
    own = dice.normal(size=len(probability)) * (1 - correlation) ** 0.5
    return (own + dice.normal() * correlation**0.5 < special.ndtri(probability)).astype(int)


@pytest.mark.parametrize("correlation", [0.0, 0.02, 0.15, 0.45])
def test_variance_of_correlated_defaults_is_that_of_all_pairs(correlation: float) -> None:
    p = np.append(scores(12, 1), [0.0, 1.0])
    weights = np.random.default_rng(2).normal(size=14)
    pair = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]])
    x = special.ndtri(p).clip(-9, 9)
    by_pair = sum(
        weights[i] * weights[j] * (pair.cdf([x[i], x[j]]) - p[i] * p[j])
        for i, j in product(range(14), repeat=2)
        if i != j
    )
    assert correlation_variance(p, correlation, weights) == pytest.approx(by_pair, abs=1e-6)


def test_weights_of_the_auc_are_its_derivatives() -> None:
    true = scores(40, 3)
    s = true.round(1)
    found, step = auc_weights(s, true), 1e-6
    for i in range(40):
        up, down = true.copy(), true.copy()
        up[i] += step
        down[i] -= step
        slope = (expected_auc(s, up) - expected_auc(s, down)) / (2 * step)
        assert found[i] == pytest.approx(slope, abs=1e-6)


def test_variance_of_the_curve_is_that_of_its_draws() -> None:
    held = scores(2000, 4)
    curve = fit_calibration_curve(outcomes(held, 5), held)
    p = scores(500, 6)
    weights = np.random.default_rng(7).uniform(0, 2, 500)
    drawn = [weights @ each for each in curve.draws(p, 20_000, np.random.default_rng(8))]
    true = curve.corrected(p)
    found = sum_variance(p, true, curve, 0, weights).curve
    assert found == pytest.approx(np.var(drawn), rel=0.05)


def test_probabilities_at_another_rate_are_those_of_a_logistic_regression() -> None:
    p = scores(800, 9)
    y = np.zeros(800, dtype=int)
    y[:200] = 1
    moved = at_rate(p, 200)
    assert moved.sum() == pytest.approx(200)
    change = log_odds(moved) - log_odds(p)
    assert change == pytest.approx(np.full(800, change[0]))


def test_standard_error_of_the_auc_agrees_with_delong() -> None:
    p = scores(20_000, 10)
    y = outcomes(p, 11)
    (area, _) = night_outcomes(ALONE, AS_THEY_ARE, y, p)
    assert area.observed == pytest.approx(delong(y, p)[0])
    assert area.error == pytest.approx(delong(y, p)[1], rel=0.05)


def test_default_rate_is_a_z_test_of_the_number_of_defaults() -> None:
    p = scores(1000, 12)
    y = outcomes(np.clip(1.5 * p, 0, 1), 13)
    (_, test), *_ = [each for each in outcome_tests(ALONE, AS_THEY_ARE, y, p) if each[0] == TARGET]
    z = (y.sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())
    assert (test.statistic, test.p_value) == pytest.approx((z, 2 * stats.norm.sf(abs(z))))
    assert test.effect == pytest.approx(abs(y.mean() - p.mean()))


@pytest.mark.parametrize("correlation", [0.0, 0.02])
def test_p_values_of_a_right_model_are_uniform_on_any_mix(correlation: float) -> None:
    policy = PerformancePolicy(default_correlation=correlation)
    tested: dict[str, list[float]] = {AUC_DROP: [], DEFAULT_RATE: []}
    for seed in range(300):
        held, p = scores(4000, 10_000 + seed), scores(3000, seed)
        p = p[p < 0.3] if seed % 3 == 0 else p[p > 0.1] if seed % 3 == 1 else p
        curve = fit_calibration_curve(outcomes(held, 30_000 + seed), held)
        for _, test in outcome_tests(policy, curve, outcomes(p, 60_000 + seed, correlation), p):
            assert test.p_value is not None
            tested[test.name].append(test.p_value)
    for name, p_values in tested.items():
        assert stats.kstest(p_values, "uniform").pvalue > 1e-3, name


def alarms(policy: PerformancePolicy, nights: int, loans: int, correlation: float) -> int:
    found = 0
    for seed in range(nights):
        p = scores(loans, seed)
        y = outcomes(p, 50_000 + seed, correlation)
        verdicts = judge_outcomes(policy, Q, outcome_tests(policy, AS_THEY_ARE, y, p))
        found += any(each.level != "stable" for each in verdicts)
    return found


def test_correlated_defaults_alarm_only_if_the_contract_denies_them() -> None:
    assert alarms(PerformancePolicy(default_correlation=0.02), 300, 2000, 0.02) <= 3
    assert alarms(ALONE, 300, 2000, 0.02) > 60


def test_bad_times_are_no_change_of_the_ranking() -> None:
    p = scores(5000, 14)
    y = outcomes(at_rate(p, 1.4 * float(p.sum())), 15)
    (area, rate) = night_outcomes(ALONE, AS_THEY_ARE, y, p)
    assert rate.observed - rate.expected > 5 * rate.error
    assert area.expected - area.observed < 2.5 * area.error


def test_floor_is_relative_in_portfolios_with_few_defaults() -> None:
    assert POLICY.rate_floor(0.16) == POLICY.default_rate_floor
    assert POLICY.rate_floor(0.02) == pytest.approx(0.004)
    assert POLICY.rate_floor(0.98) == pytest.approx(0.004)


def test_portfolio_of_two_percent_cannot_double_unseen() -> None:
    p = np.clip(scores(5000, 16) * 0.12, 0, 1)
    y = outcomes(2 * p, 17)
    (verdict,) = [
        each
        for each in judge_outcomes(ALONE, Q, outcome_tests(ALONE, AS_THEY_ARE, y, p))
        if each.feature == TARGET
    ]
    assert verdict.level == "drifted"


def test_few_loans_are_not_tested_alone() -> None:
    p = scores(100, 1)
    assert outcome_tests(POLICY, AS_THEY_ARE, outcomes(p, 1), p) == []
    p = scores(1000, 1)
    found = outcome_tests(POLICY, AS_THEY_ARE, outcomes(p, 1), p)
    assert [test.name for _, test in found] == [AUC_DROP, DEFAULT_RATE]


@pytest.mark.parametrize(
    ("p_value", "effect", "level", "severity"),
    [
        (1e-5, 0.025, "attention", "warning"),
        (1e-5, 0.04, "drifted", "critical"),
        (1e-5, 0.019, "stable", None),
        (0.01, 0.04, "stable", None),
    ],
)
def test_alert_needs_significance_and_an_effect(
    p_value: float, effect: float, level: str, severity: str | None
) -> None:
    tests = [
        (MODEL, DriftTest(AUC_DROP, 4.0, effect, 0.02, p_value)),
        (TARGET, DriftTest(DEFAULT_RATE, 0.0, 0.0, 0.03, 0.5)),
    ]
    verdicts = judge_outcomes(POLICY, Q, tests)
    assert [each.level for each in verdicts] == [level, "stable"]
    assert verdicts[0].p_adjusted == pytest.approx(2 * p_value)
    findings = drifted_outcomes({(each.feature, each.test.name): each.level for each in verdicts})
    assert [(each.subject, each.severity) for each in findings] == (
        [(MODEL, severity)] if severity else []
    )


@pytest.mark.parametrize(
    ("reference", "limit", "without", "with_shift"),
    [(0.5, 4, 335.4, 8.38), (0.5, 5, 930, 10.4), (0.25, 8, 736, 28.8)],
)
def test_nights_to_alarm_are_those_of_the_tables(
    reference: float, limit: float, without: float, with_shift: float
) -> None:
    """Montgomery, "Introduction to statistical quality control", tables 9.3 and 9.4.

    There the sum has the reference value k and the limit h. The log likelihood ratio of a shift by
    2 k is 2 k times that sum.
    """
    scaled, variance = 2 * reference * limit, 4 * reference**2
    assert nights_to_alarm(scaled, variance) == pytest.approx(without, rel=0.005)
    assert nights_to_alarm(scaled, variance, 1.0) == pytest.approx(with_shift, rel=0.005)


@pytest.mark.parametrize("variance", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_limit_gives_the_nights_that_were_asked_for(variance: float) -> None:
    limit = limit_of(variance, 3285)
    assert LEAST_LIMIT <= limit <= np.log(3285)
    assert nights_to_alarm(limit, variance) >= 3285 * 0.999


def test_increment_of_independent_loans_is_the_score_of_steiner() -> None:
    true = scores(50, 18)
    weights, variance = np.ones(50), SumVariance(float((true * (1 - true)).sum()), 0.0, 0.0)
    shift = 1.5
    y = outcomes(true, 19)
    found = night_increment(y, true, weights, variance, shift)
    # The odds ratio under which `shift` more defaults are expected, found by bisection.
    low, high = 1.0, 9.0
    for _ in range(60):
        ratio = (low + high) / 2
        raised = ratio * true / (1 - true + ratio * true)
        low, high = (ratio, high) if raised.sum() - true.sum() < shift else (low, ratio)
    score = np.where(y == 1, np.log(ratio), 0) - np.log(1 - true + ratio * true)
    assert found.value == pytest.approx(score.sum(), abs=1e-4)


def test_exponential_of_an_increment_has_the_mean_one_without_a_shift() -> None:
    """By enumeration of all outcomes of 10 loans, with any weights."""
    true = scores(10, 20)
    weights = np.random.default_rng(21).normal(size=10)
    variance = SumVariance(float((weights**2 * true * (1 - true)).sum()), 0.0, 0.0)
    mean = sum(
        float(np.prod(np.where(y, true, 1 - true)))
        * np.exp(night_increment(y, true, weights, variance, 0.4).value)
        for y in (np.array(each) for each in product([0, 1], repeat=10))
    )
    assert mean == pytest.approx(1)


def test_differences_that_an_uncertain_curve_explains_add_nothing() -> None:
    true = np.full(1000, 0.16)
    uncertain = SumVariance(134.4, 0.0, 16.0**2)

    def added(defaults: int) -> float:
        y = (np.arange(1000) < defaults).astype(int)
        return night_increment(y, true, np.ones(1000), uncertain, 30.0).value

    assert added(160 + 32) < 0
    assert added(160 + 32 + 20) > 0


def test_shift_that_no_outcome_can_show_adds_nothing() -> None:
    true = scores(50, 22)
    alone = SumVariance(5.0, 0.0, 0.0)
    assert night_increment(outcomes(true, 23), true, -np.ones(50), alone, 50.0) == Increment(0, 0)
    assert nights_to_alarm(50.0, 1000.0) == np.inf


def test_sum_ends_soon_after_the_shift() -> None:
    found = accumulate([Increment(1.0, 1.0)] * 50 + [Increment(-0.5, 1.0)] * 20, 3285)
    assert [each.is_alarm for each in found].index(True) == 6
    assert found[49].is_alarm
    assert found[49].value == found[49].limit + ABOVE_LIMIT
    assert not found[52].is_alarm
    assert (found[68].value, found[68].nights) == (0, 0)


def simulated(seed: int, nights: int, worse: float = 0.0, loans: int = 50) -> list[NightOutcome]:
    found = []
    for night in range(nights):
        p = scores(loans, 1000 * seed + night)
        y = outcomes(np.clip(p + worse, 0, 1), 1000 * seed + night + 500_000, 0.02)
        found.append(night_outcomes(POLICY, AS_THEY_ARE, y, p)[-1])
    return found


def first_alarm(nights: list[NightOutcome]) -> int | None:
    sums = over_nights(POLICY, nights)
    return next((n for n, each in enumerate(sums, 1) if each.sum >= each.limit_of_sum), None)


def test_three_points_more_defaults_are_found_in_a_small_portfolio() -> None:
    found = [first_alarm(simulated(seed, 150, worse=0.03)) for seed in range(21)]
    assert np.median([each or 999 for each in found]) <= 60


def test_right_model_is_quiet_for_three_years() -> None:
    alarmed = [first_alarm(simulated(seed, 1000)) for seed in range(10)]
    assert sum(each is not None for each in alarmed) <= 5


def test_figures_over_nights_are_those_since_the_sum_was_zero() -> None:
    nights = simulated(3, 60, worse=0.05)
    last = over_nights(POLICY, nights)[-1]
    since = nights[-last.nights :]
    assert last.loans_over_nights == 50 * last.nights
    assert last.observed_over_nights == sum(each.observed for each in since)
    assert last.expected_over_nights == pytest.approx(sum(each.expected for each in since))


def test_curve_is_applied_before_the_test() -> None:
    p = scores(4000, 24)
    y = outcomes(p, 25)
    halved = CalibrationCurve([float(np.log(0.5))], [[0.0]], -8.0, 2.0)
    tests = dict(outcome_tests(ALONE, halved, y, p))
    expected = special.expit(log_odds(p) + np.log(0.5)).mean()
    assert tests[TARGET].effect == pytest.approx(y.mean() - expected)
    assert tests[MODEL].effect == pytest.approx(
        expected_auc(p, at_rate(halved.corrected(p), y.sum())) - auc(y, p)
    )
