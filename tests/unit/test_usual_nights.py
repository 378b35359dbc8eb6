"""A night is held against its weekday and the difference between nights, once these are known."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.models.baseline import fit_column_baseline
from loan_scoring.monitoring.drift.compare import BaselineColumn, compare_column
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.decide import decide_drift
from loan_scoring.monitoring.drift.profiles import (
    NightProfile,
    category_profile,
    level_shares,
    number_profile,
    shares_below,
)
from loan_scoring.monitoring.drift.usual import fit_usual
from loan_scoring.monitoring.drift.usual_joint import JointNight, auc_noise, usual_joint
from loan_scoring.monitoring.drift.usual_nights import usual_nights, varying
from loan_scoring.statistics.distribution import Distribution
from loan_scoring.statistics.nights import (
    OF_MEDIAN,
    night_variance,
    nights_differ,
    weekday_levels,
    weekdays_differ,
)

POLICY = MonitoringPolicy()
MONDAY = date(2026, 1, 5)
NIGHTS = 56


def days(nights: int = NIGHTS) -> list[date]:
    return [MONDAY + timedelta(k) for k in range(nights)]


# The estimators.


def test_variance_of_successive_differences_is_that_of_numpy() -> None:
    values = np.random.default_rng(1).normal(0.3, 0.02, (40_000, 2))
    found = night_variance(values, np.full_like(values, 0.0001))
    assert found.total == pytest.approx(np.var(values, axis=0, ddof=1), rel=0.03)
    assert found.noise == pytest.approx([0.0001, 0.0001])


def test_variance_has_the_spread_of_its_degrees_of_freedom() -> None:
    rng = np.random.default_rng(2)
    totals = np.array(
        [night_variance(rng.normal(size=(NIGHTS, 1)), np.ones((NIGHTS, 1))).total[0]
         for _ in range(3000)]
    )  # fmt: skip
    degrees = night_variance(np.ones((NIGHTS, 1)), np.ones((NIGHTS, 1))).degrees
    # The variance of a chi-square variable divided by its degrees of freedom is 2 / degrees.
    assert totals.mean() == pytest.approx(1, abs=0.02)
    assert totals.var() == pytest.approx(2 / degrees, rel=0.12)


def test_a_step_a_rise_and_a_bad_night_hardly_raise_the_variance() -> None:
    noise = np.random.default_rng(3).normal(0, 0.01, (NIGHTS, 1))
    plain = night_variance(noise, np.full_like(noise, 0.0001)).total[0]
    step, rise, bad = noise.copy(), noise.copy(), noise.copy()
    step[30:] += 0.2
    rise[:, 0] += 0.002 * np.arange(NIGHTS)
    bad[30] += 0.2
    for changed in (step, rise, bad):
        found = night_variance(changed, np.full_like(noise, 0.0001)).total[0]
        assert plain <= found < 1.5 * plain
    assert np.var(bad) > 5 * plain  # what the ordinary variance would be


def test_effects_of_weekdays_are_those_of_classical_decomposition() -> None:
    effects = np.array([2.0, 1, 0, 0, 1, -2, -2])
    values = np.tile(effects, 8) + 0.3 * np.arange(NIGHTS)  # without noise, the mean is the median
    detrended = values[3:-3] - np.convolve(values, np.ones(7) / 7, mode="valid")
    weekday = (np.arange(NIGHTS) % 7)[3:-3]
    expected = [detrended[weekday == day].mean() for day in range(7)]
    found = weekday_levels(days(), values[:, None])
    assert found is not None
    levels = np.array([found.levels[day][0] for day in range(7)])
    assert levels - levels.mean() == pytest.approx(expected - np.mean(expected), abs=0.02)
    assert levels - levels.mean() == pytest.approx(effects, abs=0.02)


def test_missing_nights_do_not_change_the_effects() -> None:
    values = np.tile([2.0, 1, 0, 0, 1, -2, -2], 8)[:, None]
    kept = np.delete(np.arange(NIGHTS), [10, 24, 31])
    found = weekday_levels([days()[k] for k in kept], values[kept])
    assert found is not None
    assert [found.levels[day][0] for day in range(7)] == pytest.approx(
        [2, 1, 0, 0, 1, -2, -2], abs=0.02
    )


def test_effects_of_chance_are_shrunk_away() -> None:
    values = np.random.default_rng(4).normal(0, 1, (NIGHTS, 400))
    found = weekday_levels(days(), values)
    assert found is not None
    size = np.mean([np.square(found.levels[day] - found.levels[0]) for day in range(1, 7)])
    assert size < OF_MEDIAN * 2 / 8 / 3  # a third of that of medians of eight nights


def test_tests_of_weekdays_and_nights_hold_their_level() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    p_week, p_nights = [], []
    for _ in range(1500):
        counts = rng.multinomial(1000, shares, NIGHTS) / 1000
        noise = np.tile(shares * (1 - shares) / 1000, (NIGHTS, 1))
        variance = night_variance(counts, noise)
        rest = weekday_levels(days(), counts)
        assert rest is not None
        p_nights.append(nights_differ(shares, variance)[0])
        p_week.append(
            weekdays_differ(days(), counts, shares, night_variance(rest.residuals, noise, 6))
        )
    for p_values in (p_week, p_nights):
        assert np.mean(np.array(p_values) < 0.01) < 0.025
        assert 0.015 < np.mean(np.array(p_values) < 0.05) < 0.08


@pytest.mark.parametrize("nights", [21, NIGHTS])
def test_p_value_of_a_night_holds_where_nights_differ(nights: int) -> None:
    rng = np.random.default_rng(6)
    found = []
    for _ in range(1500):
        true = np.clip(rng.normal(0.3, 0.03, nights + 1), 0, 1)
        shares = (rng.binomial(1000, true) / 1000)[:, None]
        noise = np.full((nights, 1), 0.3 * 0.7 / 1000)
        usual = fit_usual(days(nights), 0, shares[:-1], noise, np.array([0.3]))
        found.append(usual.p_values(shares[-1] - 0.3 - usual.shift, noise[0])[0])
    p_values = np.array(found)
    assert np.mean(p_values < 0.05) == pytest.approx(0.05, abs=0.025)
    assert np.mean(p_values < 0.001) < 0.006


def test_p_value_is_that_of_welch_and_scipy() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(0.3, 0.03, (NIGHTS, 1))
    noise = np.full((NIGHTS, 1), 0.0002)
    usual = fit_usual(days(), 0, values, noise, np.array([0.3]))
    assert usual.differs
    assert not usual.has_cycle
    variance = usual.total[0] - 0.0002 + 0.0005
    degrees = variance**2 / (usual.total[0] ** 2 / usual.degrees)
    expected = 2 * stats.t.sf(0.1 / variance**0.5, degrees)
    assert usual.p_values(np.array([0.1]), np.array([0.0005])) == pytest.approx([expected])


# Profiles.


def test_a_profile_gives_the_shares_of_any_bins() -> None:
    rng = np.random.default_rng(8)
    numbers = np.round(rng.lognormal(8, 0.6, 5000), -1)
    numbers[:1500] = 3600.0  # a value that many loans have
    profile = number_profile(Distribution.of(numbers), 7)
    edges = np.array([500, 1800, 3600, np.nextafter(3600, np.inf), 9000, 1e9])
    expected = [(numbers < edge).mean() for edge in edges]
    found = shares_below(profile, edges)
    assert found == pytest.approx(expected, abs=0.004)
    assert found[[2, 3]] == pytest.approx([expected[2], expected[3]], abs=1e-12)
    assert (profile["rows"], profile["nulls"]) == (5007, 7)


def test_an_empty_profile_has_no_points() -> None:
    assert number_profile(Distribution.of(np.array([])), 3)["points"] == []


def test_level_shares_sum_to_one() -> None:
    profile = category_profile({"a": 6, "b": 3, "z": 1}, 5)
    assert level_shares(profile, ["b", "x"]) == pytest.approx([0.3, 0.0, 0.7])


# The decision.


def column_and_nights(weekend: float, *, nights: int = NIGHTS, varies: float = 0.0) -> tuple:
    """Return a baseline of 14 % business, and nights with another share on weekends."""
    rng = np.random.default_rng(9)

    def values(share: float, rows: int = 2000) -> pa.ChunkedArray:
        is_business = rng.random(rows) < share
        return pa.chunked_array([pa.array(np.where(is_business, "yes", "no"))])

    sample = values(0.14, 50_000)
    column = BaselineColumn.fit(fit_column_baseline(sample, 10), sample)
    profiles = []
    for day in days(nights):
        share = (weekend if day.weekday() >= 5 else 0.14) + rng.normal(0, varies)
        compared = compare_column("x", POLICY, column, values(max(share, 0.01)))
        profiles.append(NightProfile(day, compared.profile))
    return column, profiles, values


def is_alarm(column: BaselineColumn, nights: list, weekday: int, batch: pa.ChunkedArray) -> bool:
    usual = usual_nights(POLICY, column.frozen, nights, weekday)
    return bool(decide_drift(POLICY, [compare_column("x", POLICY, column, batch, usual)])[1])


def test_a_usual_weekend_is_no_alarm_and_a_change_against_the_weekday_is() -> None:
    column, nights, values = column_and_nights(0.08)
    saturday, tuesday = 5, 1
    assert decide_drift(POLICY, [compare_column("x", POLICY, column, values(0.08))])[1]
    assert not any(is_alarm(column, nights, saturday, values(0.08)) for _ in range(20))
    assert not any(is_alarm(column, nights, tuesday, values(0.14)) for _ in range(20))
    assert is_alarm(column, nights, saturday, values(0.14))
    assert is_alarm(column, nights, tuesday, values(0.08))


def test_before_enough_nights_the_training_alone_is_compared() -> None:
    column, nights, values = column_and_nights(0.08, nights=20)
    assert usual_nights(POLICY, column.frozen, nights, 5) is None
    assert is_alarm(column, nights, 5, values(0.08))


def test_a_lasting_shift_still_alarms() -> None:
    column, nights, values = column_and_nights(0.22)
    shifted = [NightProfile(each.day, {**each.values}) for each in nights]
    for each in shifted:  # on all days more than the training has
        rows = each.values["rows"]
        each.values["levels"] = {"no": round(0.75 * rows), "yes": rows - round(0.75 * rows)}
    assert is_alarm(column, shifted, 1, values(0.25))


def test_nights_that_differ_are_no_alarm() -> None:
    column, nights, values = column_and_nights(0.14, varies=0.03)
    rng = np.random.default_rng(10)
    shares = np.clip(0.14 + rng.normal(0, 0.03, 40), 0.01, 1)
    before = [
        bool(decide_drift(POLICY, [compare_column("x", POLICY, column, values(share))])[1])
        for share in shares
    ]
    after = [is_alarm(column, nights, k % 7, values(share)) for k, share in enumerate(shares)]
    assert sum(before) > 10
    assert sum(after) == 0
    assert is_alarm(column, nights, 1, values(0.45))


def test_evidence_names_what_was_compared_and_keeps_the_figures_of_training() -> None:
    column, nights, values = column_and_nights(0.08)
    usual = usual_nights(POLICY, column.frozen, nights, 5)
    assert usual is not None
    facts = compare_column("x", POLICY, column, values(0.14), usual).facts
    assert facts["usual"]["against"] == "Saturdays of the last 8 weeks"
    assert facts["baseline_shares"]["yes"] == pytest.approx(0.14, abs=0.005)
    assert facts["expected_shares"]["yes"] == pytest.approx(0.08, abs=0.01)


def test_a_number_is_compared_with_its_weekday() -> None:
    rng = np.random.default_rng(11)

    def values(mean: float, rows: int = 2000) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(rng.normal(mean, 1, rows))])

    sample = values(0.0, 50_000)
    column = BaselineColumn.fit(fit_column_baseline(sample, 10), sample)
    nights = [
        NightProfile(
            day,
            compare_column("x", POLICY, column, values(0.3 * (day.weekday() >= 5))).profile or {},
        )
        for day in days()
    ]
    assert not any(is_alarm(column, nights, 6, values(0.3)) for _ in range(20))
    assert is_alarm(column, nights, 6, values(0.0))
    assert is_alarm(column, nights, 2, values(0.3))
    usual = usual_nights(POLICY, column.frozen, nights, 6)
    assert usual is not None
    moved = usual.expected_distribution(column.frozen, column.distribution)
    assert moved is not None
    assert moved.mean == pytest.approx(0.3, abs=0.05)
    assert sum(usual.expected(column.frozen)["counts"]) == 50_000
    assert varying([usual])


def test_joint_tests_are_held_against_nights_of_the_model() -> None:
    rng = np.random.default_rng(12)
    joint = type("J", (), {"errors": np.zeros(10_000)})()
    aucs = 0.5 + np.abs(rng.normal(0, 0.04, NIGHTS))
    nights = [JointNight(d, 2000, float(a), 0.0) for d, a in zip(days(), aucs, strict=True)]
    usual = usual_joint(POLICY, joint, nights, 1)  # type: ignore[arg-type]
    assert usual is not None

    def compared(auc: float) -> Comparison:
        z = (auc - 0.5) / auc_noise(2000) ** 0.5
        test = DriftTest("domain_classifier", auc, auc - 0.5, 0.02, stats.norm.sf(z))
        return Comparison("all", [test], facts={"rows": 2000})

    assert decide_drift(POLICY, [compared(0.60)])[1]
    assert not decide_drift(POLICY, [usual.judged(compared(0.60))])[1]
    assert decide_drift(POLICY, [usual.judged(compared(0.85))])[1]
