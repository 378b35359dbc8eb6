"""The exact tests against scipy, enumeration with whole numbers, and random divisions."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loan_scoring.monitoring.drift.exact_tests import (
    fisher,
    rare_levels,
    unseen_levels,
    upper_tails,
)

sides = st.integers(1, 60).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))


@given(sides, sides)
def test_fisher_is_that_of_scipy(batch: tuple[int, int], baseline: tuple[int, int]) -> None:
    table = [[marked, rows - marked] for marked, rows in (batch, baseline)]
    theirs = stats.fisher_exact(table).pvalue
    assert fisher(*batch, *baseline) == pytest.approx(theirs, rel=1e-9)
    assert fisher(*baseline, *batch) == pytest.approx(theirs, rel=1e-9)


def enumerated(marked: int, rows: int, marked_before: int, rows_before: int) -> float:
    total = marked + marked_before
    ways = [
        comb(rows, n) * comb(rows_before, total - n)
        for n in range(max(0, total - rows_before), min(rows, total) + 1)
    ]
    observed = comb(rows, marked) * comb(rows_before, marked_before)
    return float(Fraction(sum(each for each in ways if each <= observed), sum(ways)))


@pytest.mark.parametrize(
    "table",
    [
        (4, 50, 300, 70_000),
        (0, 500, 1500, 70_000),
        (25, 500, 10, 70_000),
        (500, 500, 14, 70_000),
        (20, 200, 6000, 7000),
    ],
)
def test_fisher_is_exact_for_large_baselines(table: tuple[int, int, int, int]) -> None:
    assert fisher(*table) == pytest.approx(enumerated(*table), rel=1e-8)


@pytest.mark.parametrize("rows", [50, 100, 200])
@pytest.mark.parametrize("share", [0.006, 0.06, 0.1])
def test_fisher_keeps_its_level_in_small_batches(rows: int, share: float) -> None:
    # The normal approximation rejects up to 30 times too often here, at 50 rows.
    total, baseline = round(share * 70_000), 70_000
    chance = stats.hypergeom(baseline + rows, total, rows).pmf(np.arange(rows + 1))
    p_values = np.array([fisher(n, rows, total - n, baseline) for n in range(rows + 1)])
    for q in (0.001, 0.00001):
        assert chance[p_values < q].sum() <= q


def test_upper_tails_are_those_of_scipy() -> None:
    marked, total = np.array([1, 3, 0, 12, 50]), np.array([1, 5, 7, 40, 50])
    theirs = stats.hypergeom.sf(marked - 1, 2500, total, 500)
    assert upper_tails(marked, total, 500, 2000) == pytest.approx(theirs, rel=1e-9)


def divided(random: np.random.Generator, spectrum: np.ndarray, rows: int) -> np.ndarray:
    """Return the batch rows of each level after a random division of all rows."""
    return random.multivariate_hypergeometric(spectrum, rows, method="marginals")


@pytest.mark.parametrize("name", ["rare", "unseen"])
def test_p_values_hold_under_random_divisions(name: str) -> None:
    random = np.random.default_rng(1)
    # A long tail: many levels with one row, some with several.
    spectrum = np.repeat([1, 2, 3, 8, 20, 3000], [400, 120, 60, 30, 10, 1])
    rows = 500
    p_values = []
    for _ in range(3000):
        now = divided(random, spectrum, rows)
        before = spectrum - now
        is_rare = spectrum < 1000
        p_values.append(
            rare_levels(before[is_rare], now[is_rare], int(before.sum()), rows)[1]
            if name == "rare"
            else unseen_levels(before, now, int(before.sum()), rows)[1]
        )
    for q in (0.2, 0.05, 0.01):
        assert np.mean(np.array(p_values) <= q) <= q + 3 * (q * (1 - q) / 3000) ** 0.5


def test_the_expected_unseen_rows_are_those_of_random_divisions() -> None:
    random = np.random.default_rng(2)
    spectrum = np.repeat([1, 2, 3, 900], [300, 100, 50, 2])
    found = []
    for _ in range(2000):
        now = divided(random, spectrum, 400)
        found.append(now[now == spectrum].sum())
    now = divided(random, spectrum, 400)
    expected, _ = unseen_levels(spectrum - now, now, int(spectrum.sum()) - 400, 400)
    assert np.mean(found) == pytest.approx(expected, rel=0.02)


def test_without_a_tail_unseen_levels_are_fishers_test_with_an_empty_cell() -> None:
    _, p_value = unseen_levels(np.array([2000, 0]), np.array([496, 4]), 2000, 500)
    theirs = stats.fisher_exact([[4, 496], [0, 2000]], alternative="greater").pvalue
    assert p_value == pytest.approx(2 * theirs, rel=1e-6)
    several = unseen_levels(
        np.array([70_000, 0, 0, 0, 0, 0]), np.array([490, 2, 2, 2, 2, 2]), 70_000, 500
    )
    assert several[1] < 1e-15


def test_a_rare_level_is_found_where_all_rare_levels_together_hide_it() -> None:
    before = np.array([5] * 400 + [3])
    now = np.zeros(401, int)
    now[:12], now[400] = 1, 10
    together = fisher(int(now.sum()), 500, int(before.sum()), 70_000)
    assert together > 0.01
    effect, p_value = rare_levels(before, now, 70_000, 500)
    assert effect == pytest.approx(10 / 500 - 3 / 70_000)
    assert p_value < 1e-9
