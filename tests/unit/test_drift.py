"""Compare each drift test with an independent implementation, and each decision with its limits."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.models.baseline import fit_column_baseline
from loan_scoring.monitoring.drift.compare import BaselineColumn, compare_column
from loan_scoring.monitoring.drift.comparison import Comparison
from loan_scoring.monitoring.drift.comparison import DriftTest as DriftTest
from loan_scoring.monitoring.drift.decide import decide_drift
from loan_scoring.monitoring.drift.statistical_tests import (
    chi_square,
    jensen_shannon,
    ks,
    largest_cells,
    null_share,
    rank_sum,
    wasserstein,
)
from loan_scoring.statistics.distribution import Distribution, cdf_gaps, merged_counts
from loan_scoring.statistics.multiple_tests import benjamini_hochberg
from loan_scoring.statistics.psi import psi, psi_by_chance, psi_noise

POLICY = MonitoringPolicy()
numbers = st.lists(st.integers(-20, 20).map(float), min_size=5, max_size=60)


def of(values: list[float]) -> Distribution:
    return Distribution.of(np.array(values))


@given(numbers, numbers)
def test_ks_is_that_of_scipy(left: list[float], right: list[float]) -> None:
    _, heights = cdf_gaps(of(left), of(right))
    theirs = stats.ks_2samp(left, right, method="asymp")
    ours = ks(heights, len(left), len(right))
    assert ours == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-12)


@given(numbers, numbers)
def test_wasserstein_is_that_of_scipy(left: list[float], right: list[float]) -> None:
    theirs = stats.wasserstein_distance(left, right)
    assert wasserstein(*cdf_gaps(of(left), of(right)), 2.0) == pytest.approx(theirs / 2, abs=1e-9)


def test_wasserstein_of_a_constant_baseline_is_zero() -> None:
    assert wasserstein(*cdf_gaps(of([1.0] * 5), of([2.0] * 5)), 0.0) == 0.0


@given(numbers, st.lists(st.integers(-20, 20).map(float), max_size=6, unique=True).map(sorted))
def test_a_distribution_has_the_moments_and_bins_of_numpy(
    values: list[float], edges: list[float]
) -> None:
    found = of(values)
    assert (found.mean, found.median) == pytest.approx((np.mean(values), np.median(values)))
    bins = [-np.inf, *edges, np.inf]
    assert found.counts(np.array(edges)).tolist() == np.histogram(values, bins)[0].tolist()


def test_a_distribution_of_nothing_has_empty_bins() -> None:
    assert of([]).counts(np.array([1.0, 2.0])).tolist() == [0, 0, 0]


counts = st.lists(st.integers(50, 500), min_size=2, max_size=6)


@given(counts, st.randoms(use_true_random=False))
def test_chi_square_is_that_of_scipy(expected: list[int], random: object) -> None:
    actual = [random.randint(50, 500) for _ in expected]  # type: ignore[attr-defined]
    statistic, p_value = chi_square(np.array(expected), np.array(actual))
    theirs = stats.chi2_contingency([expected, actual], correction=False, lambda_=0)
    table, cells = theirs.expected_freq, len(expected)
    by_side, by_cell, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    q = ((total / by_side).sum() - 1) * ((total / by_cell).sum() - 1)
    corrected = theirs.statistic / (1 + q / (6 * total * (cells - 1)))
    assert statistic == pytest.approx(corrected, rel=1e-9)
    if cells == 2:
        assert p_value == pytest.approx(stats.fisher_exact([expected, actual]).pvalue, rel=1e-6)
    else:
        assert p_value == pytest.approx(stats.chi2.sf(corrected, cells - 1), rel=1e-9)


def test_chi_square_leaves_rare_levels_to_their_own_test() -> None:
    assert chi_square(np.array([99_000, 10, 10]), np.array([999, 1, 0])) == (0.0, None)


def test_chi_square_holds_at_tiny_p_values_where_ten_rows_are_expected() -> None:
    random = np.random.default_rng(7)
    shares = np.array([0.9, 0.025, 0.025, 0.025, 0.025])
    batches = random.multinomial(500, shares, 40_000)
    baseline = random.multinomial(50_000, shares)
    distinct, repeats = np.unique(batches, axis=0, return_counts=True)
    found = [chi_square(baseline, each)[1] for each in distinct]
    false = repeats[np.array([p is not None and p < 1e-4 for p in found])].sum()
    # Poisson(4) has at most 11 with probability 0.999. Pearson's statistic has about 20 here.
    assert false <= 11


def test_null_share_has_no_p_value_without_nulls() -> None:
    difference, p_value = null_share(600, 10_000, 90, 1000)
    assert difference == pytest.approx(0.03)
    theirs = stats.fisher_exact([[600, 9400], [90, 910]]).pvalue
    assert p_value == pytest.approx(theirs, rel=1e-6)
    assert null_share(0, 10, 0, 10) == (0.0, None)


def ranks_of(baseline: Distribution, batch: Distribution) -> tuple[float, float]:
    return rank_sum(*merged_counts(baseline, batch)[1:])


@given(numbers, numbers)
def test_rank_sum_is_that_of_scipy_or_higher(left: list[float], right: list[float]) -> None:
    higher, p_value = ranks_of(of(left), of(right))
    if len({*left, *right}) == 1:
        assert (higher, p_value) == (0.5, 1.0)
        return
    theirs = stats.mannwhitneyu(right, left, method="asymptotic", use_continuity=False)
    assert higher == pytest.approx(theirs.statistic / len(left) / len(right))
    assert p_value >= theirs.pvalue * (1 - 1e-9)
    ranks = stats.rankdata([*left, *right])
    if len(left) == len(right) or abs(stats.skew(ranks)) < 1e-12:
        assert p_value == pytest.approx(theirs.pvalue, rel=1e-6)


def test_rank_sum_holds_where_nearly_all_values_are_equal() -> None:
    random = np.random.default_rng(8)
    baseline = of(random.choice([180.0, 360.0], 20_000, p=[0.05, 0.95]).tolist())
    share = np.diff(baseline.up_to)[0] / baseline.size
    chance = dict(enumerate(stats.binom.pmf(np.arange(51), 50, share)))
    reached = [
        chance[k]
        for k in range(51)
        if ranks_of(baseline, of([180.0] * k + [360.0] * (50 - k)))[1] < 1e-4
    ]
    assert sum(reached) < 1e-4


def test_the_psi_of_a_small_batch_is_corrected_by_its_mean() -> None:
    random = np.random.default_rng(9)
    shares = np.full(11, 1 / 11)
    baseline = random.multinomial(70_000, shares)
    found = [psi(baseline, random.multinomial(200, shares)) for _ in range(3000)]
    assert np.mean(found) == pytest.approx(psi_by_chance(11, 70_000, 200), rel=0.06)


def test_the_largest_cells_are_those_of_baseline_and_batch_together() -> None:
    before, now = largest_cells(np.array([9, 5, 5, 5]), np.array([0, 1, 0, 9]), 2)
    assert (before.tolist(), now.tolist()) == ([5, 9, 10], [9, 0, 1])


def entropy_bits(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


@given(counts, st.randoms(use_true_random=False))
def test_jensen_shannon_is_the_root_of_the_gain_in_entropy(
    expected: list[int], random: object
) -> None:
    actual = [random.randint(0, 500) for _ in expected]  # type: ignore[attr-defined]
    actual[0] += 1
    p, q = (np.array(each) / sum(each) for each in (expected, actual))
    squared = entropy_bits((p + q) / 2) - (entropy_bits(p) + entropy_bits(q)) / 2
    distance = jensen_shannon(np.array(expected), np.array(actual))
    assert distance**2 == pytest.approx(squared, abs=1e-12)


def test_jensen_shannon_of_almost_equal_shares_is_a_number() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        baseline = rng.integers(1, 10**7, 30)
        batch = baseline * 2
        batch[0] += 1
        assert 0 <= jensen_shannon(baseline, batch) < 1e-3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_rejects_what_its_step_up_procedure_rejects(
    p_values: list[float],
) -> None:
    adjusted = benjamini_hochberg(np.array(p_values))
    ranked = sorted(p_values)
    for q in (0.00123, 0.0537, 0.413):
        passing = [p for k, p in enumerate(ranked, 1) if p * len(ranked) / k <= q]
        limit = max(passing, default=-1.0)
        assert [p <= limit for p in p_values] == (adjusted <= q).tolist()


def test_benjamini_hochberg_of_no_test_is_nothing() -> None:
    assert len(benjamini_hochberg(np.array([]))) == 0


def test_ks_of_one_value_on_each_side_has_a_p_value() -> None:
    _, heights = cdf_gaps(of([1.0]), of([2.0]))
    statistic, p_value = ks(heights, 1, 1)
    assert (statistic, 0 <= p_value <= 1) == (1.0, True)


def test_psi_is_the_sum_of_its_formula() -> None:
    expected, actual = np.array([100_000, 200_000, 700_000]), np.array([150_000, 150_000, 700_000])
    shares = expected / 1e6, actual / 1e6
    by_hand = sum((a - e) * np.log(a / e) for e, a in zip(*shares, strict=True))
    assert psi(expected, actual) == pytest.approx(by_hand, rel=1e-4)


def test_psi_noise_holds_at_its_stated_rate() -> None:
    random = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    limit = psi_noise(10, 20_000, 2_000, quantile=0.95)
    above = [
        psi(random.multinomial(20_000, shares), random.multinomial(2_000, shares)) > limit
        for _ in range(4000)
    ]
    # The 99.9 % interval of a share of 5 % in 4,000 draws.
    assert 0.038 < np.mean(above) < 0.062


def _verdict(values: pa.Array, batch: pa.Array):
    column = pa.chunked_array([values])
    fitted = BaselineColumn.fit(fit_column_baseline(column, POLICY.bins), column)
    comparison = compare_column("x", POLICY, fitted, pa.chunked_array([batch]))
    return decide_drift(POLICY, [comparison])


def test_the_same_distribution_is_stable() -> None:
    random = np.random.default_rng(2)
    verdicts, findings = _verdict(
        pa.array(random.normal(size=20_000)), pa.array(random.normal(size=5000))
    )
    assert findings == []
    assert {each.level for each in verdicts} == {"stable"}


@pytest.mark.parametrize(
    ("batch", "cause"),
    [
        (lambda r: r.normal(0.2, 1, 5000), "ks"),
        (lambda r: r.normal(0, 1.25, 5000), "ks"),
        (lambda r: np.where(r.random(5000) < 0.04, np.nan, r.normal(size=5000)), "null_share"),
    ],
)
def test_a_shift_of_numbers_is_found(batch, cause: str) -> None:
    random = np.random.default_rng(3)
    values = pa.array(random.normal(size=50_000))
    _, findings = _verdict(values, pa.array(batch(random), from_pandas=True))
    assert len(findings) == 1
    assert cause in findings[0].failed_tests


def test_a_new_level_and_a_shift_of_shares_are_found() -> None:
    random = np.random.default_rng(4)
    values = pa.array(random.choice(["a", "b"], 50_000).tolist())
    _, new = _verdict(
        values, pa.array(random.choice(["a", "b", "c"], 5000, p=[0.495, 0.495, 0.01]).tolist())
    )
    _, moved = _verdict(values, pa.array(random.choice(["a", "b"], 5000, p=[0.56, 0.44]).tolist()))
    assert [finding.failed_tests for finding in new] == [["unseen_levels"]]
    assert [finding.failed_tests for finding in moved] == [["chi_square"]]


def test_a_significant_but_tiny_shift_is_no_finding() -> None:
    random = np.random.default_rng(5)
    verdicts, findings = _verdict(
        pa.array(random.normal(size=90_000)), pa.array(random.normal(0.03, 1, size=90_000))
    )
    significant = [
        each for each in verdicts if each.p_adjusted is not None and each.p_adjusted < POLICY.q
    ]
    assert significant
    assert findings == []


@pytest.mark.parametrize("moved", [371.0, 350.0, 359.0])
def test_moving_off_a_value_that_nearly_all_have_is_found(moved: float) -> None:
    random = np.random.default_rng(6)
    values, batch = (random.choice([180.0, 360.0], n, p=[0.1, 0.9]) for n in (50_000, 5000))
    _, findings = _verdict(pa.array(values), pa.array(np.where(batch == 360, moved, batch)))
    assert [(finding.severity, finding.failed_tests) for finding in findings] == [
        ("critical", ["ks", "rank_sum"])
    ]


def test_leaving_the_only_value_is_found() -> None:
    _, findings = _verdict(pa.array([2019] * 9000), pa.array([2019] * 900 + [2020] * 100))
    assert [finding.failed_tests for finding in findings] == [["ks", "rank_sum"]]


def test_an_empty_column_of_numbers_is_compared_by_its_nulls() -> None:
    values = pa.array([1.0, 2.0, 3.0] * 3000)
    _, findings = _verdict(values, pa.nulls(2000, pa.float64()))
    assert [finding.severity for finding in findings] == ["critical"]


def test_a_rare_level_that_surges_is_found() -> None:
    values = pa.array(["sb"] * 69_986 + ["mh"] * 14)
    for mh, rows in ((500, 500), (50, 500), (25, 500), (100, 1000)):
        _, findings = _verdict(values, pa.array(["mh"] * mh + ["sb"] * (rows - mh)))
        assert [(each.severity, each.failed_tests) for each in findings] == [
            ("critical", ["rare_levels"])
        ]
    _, findings = _verdict(values, pa.array(["mh"] * 2 + ["sb"] * 498))
    assert findings == []


def test_a_small_batch_without_drift_has_no_critical_psi() -> None:
    random = np.random.default_rng(11)
    column = pa.chunked_array([random.normal(size=7000)])
    fitted = BaselineColumn.fit(fit_column_baseline(column, POLICY.bins), column)
    batches = [pa.chunked_array([random.normal(size=50)]) for _ in range(200)]
    found = [compare_column("x", POLICY, fitted, each) for each in batches]
    assert np.mean([each.facts["psi_uncorrected"] for each in found]) > 0.15
    assert np.mean([each.psi for each in found]) < 0.05
    verdicts = [decide_drift(POLICY, [each])[0] for each in found]
    drifted = [each for one in verdicts for each in one if each.level == "drifted"]
    assert len(drifted) <= 6, "the PSI is above the 99 % quantile of its noise by chance"


def _long_tail(random: np.random.Generator, rows: int) -> list[str]:
    weights = 1 / np.arange(1, 20_001)
    return [f"level {n}" for n in random.choice(20_000, rows, p=weights / weights.sum())]


def test_a_long_tail_has_unseen_levels_and_no_alert() -> None:
    random = np.random.default_rng(12)
    column = pa.chunked_array([_long_tail(random, 30_000)])
    fitted = BaselineColumn.fit(fit_column_baseline(column, POLICY.bins), column)
    p_values, found = [], 0
    for _ in range(20):
        batch = _long_tail(random, 2000)
        compared = compare_column("x", POLICY, fitted, pa.chunked_array([batch]))
        (unseen,) = (each for each in compared.tests if each.name == "unseen_levels")
        assert unseen.statistic > 0.1
        p_values.append(unseen.p_value)
        batch[:20] = ["new"] * 20
        compared = compare_column("x", POLICY, fitted, pa.chunked_array([batch]))
        _, findings = decide_drift(POLICY, [compared])
        found += [each.failed_tests for each in findings] == [["unseen_levels"]]
    assert np.median(p_values) > 0.2
    assert min(p_values) > 0.001
    assert found == 20


def test_five_points_moved_among_two_thousand_levels_are_found() -> None:
    random = np.random.default_rng(13)
    levels = np.array([f"level {n}" for n in range(2000)])
    column = pa.chunked_array([levels[random.integers(0, 2000, 70_000)]])
    fitted = BaselineColumn.fit(fit_column_baseline(column, POLICY.bins), column)
    for moved in (0, 250):
        batch = levels[random.integers(0, 2000, 5000)]
        batch[:moved] = levels[7]
        _, findings = decide_drift(
            POLICY, [compare_column("x", POLICY, fitted, pa.chunked_array([batch]))]
        )
        assert len(findings) == (moved > 0)


def _together(effect: float, p_value: float) -> Comparison:
    return Comparison(
        "all",
        [DriftTest("domain_classifier", 0.5 + effect, effect, 0.02, p_value, drifted_from=0.138)],
    )


@pytest.mark.parametrize(
    ("effect", "p_value", "level", "severities"),
    [
        (0.1, 0.5, "stable", []),
        (0.01, 1e-9, "stable", []),
        (0.1, 1e-9, "attention", ["warning"]),
        (0.2, 1e-9, "drifted", ["critical"]),
    ],
)
def test_a_test_without_a_psi_is_judged_by_its_effect(
    effect: float, p_value: float, level: str, severities: list[str]
) -> None:
    verdicts, findings = decide_drift(POLICY, [_together(effect, p_value)])
    assert [each.level for each in verdicts] == [level]
    assert [finding.severity for finding in findings] == severities


def test_all_tests_of_a_batch_are_adjusted_together() -> None:
    quiet = Comparison("x", [DriftTest("ks", 0.0, 0.0, 0.03, 1.0)] * 9, psi=0.0, psi_noise=0.01)
    verdicts, _ = decide_drift(POLICY, [quiet, _together(0.1, 1e-4)])
    assert verdicts[-1].p_adjusted == pytest.approx(10 * 1e-4)
