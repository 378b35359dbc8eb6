"""The usual share of quarantined rows: against scipy, and its false alarms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loan_scoring.statistics.usual_share import CHANCE, NIGHTS_DIFFER, UsualShare, usual_share

ROWS = 148_670


@given(
    mean=st.floats(1e-4, 0.2),  # scipy's own probabilities of rarer events are less exact
    variation=st.floats(NIGHTS_DIFFER, 1.0),
    rows=st.integers(1, 5_000),
    data=st.data(),
)
def test_tail_is_the_sum_of_scipy_s_probabilities(
    mean: float, variation: float, rows: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, rows))
    first = (1 - mean) / variation**2 - mean
    second = first * (1 - mean) / mean
    assert stats.beta(first, second).mean() == pytest.approx(mean)
    assert stats.beta(first, second).std() == pytest.approx(variation * mean)
    expected = stats.betabinom.pmf(np.arange(count, rows + 1), rows, first, second).sum()
    found = UsualShare(mean, variation, 14).tail(count, rows)
    assert found == pytest.approx(expected, rel=1e-4, abs=CHANCE / 20)


def test_tail_without_variation_is_the_binomial_one() -> None:
    found = UsualShare(0.01, 1e-3, 14).tail(130, 10_000)
    assert found == pytest.approx(stats.binom.sf(129, 10_000, 0.01), rel=0.02)


def test_share_without_any_event_has_jeffreys_posterior() -> None:
    usual = usual_share(np.zeros(7), np.full(7, 1000.0))
    # Of seven nights without events, none stands out: all are taken.
    assert usual.nights == 7
    expected = stats.betabinom.sf(2, 1000, 0.5, 7000.5)
    assert usual.tail(3, 1000) == pytest.approx(expected, rel=1e-3)


def test_mean_and_variation_are_those_of_the_nights() -> None:
    share, variation = 0.01, 0.5
    first = (1 - share) / variation**2 - share
    found = stats.betabinom.rvs(ROWS, first, first * (1 - share) / share, size=2000, random_state=1)
    usual = usual_share(found.astype(float), np.full(2000, float(ROWS)))
    assert usual.nights == 2000
    assert usual.mean == pytest.approx(share, rel=0.05)
    assert usual.variation == pytest.approx(variation, rel=0.05)


def test_few_equal_nights_do_not_make_the_next_one_unusual() -> None:
    usual = usual_share(np.full(5, 1500.0), np.full(5, float(ROWS)))
    assert usual.variation >= NIGHTS_DIFFER
    assert usual.tail(1900, ROWS) > 0.01
    assert stats.binom.sf(1899, ROWS, 1500 / ROWS) < 1e-20  # the plain test would call it unusual


@pytest.mark.parametrize("bad", range(1, 7))
def test_bad_nights_do_not_hide_the_next_one(bad: int) -> None:
    counts = np.array([30.0] * (14 - bad) + [4500.0] * bad)
    usual = usual_share(counts, np.full(14, float(ROWS)))
    assert usual.nights == 14 - bad
    assert usual.tail(4500, ROWS) < CHANCE


def test_share_that_lasts_for_most_nights_is_usual() -> None:
    usual = usual_share(np.array([30.0] * 5 + [4500.0] * 9), np.full(14, float(ROWS)))
    assert usual.tail(4500, ROWS) > CHANCE
