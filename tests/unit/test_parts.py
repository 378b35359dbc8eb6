"""Whether a part of a batch stands out, against enumeration, hypergeometric and by simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, binomtest, hypergeom

from loan_scoring.models.segmentation import FEWEST, MOST, OTHER, pool_levels
from loan_scoring.statistics.fairness import NOT_STATED
from loan_scoring.statistics.labels import Labels
from loan_scoring.statistics.parts import default_counts, holm, part_p_values, shifted


def by_enumeration(y: np.ndarray, p: np.ndarray, is_part: np.ndarray) -> float:
    """Add up the probability of each of the outcomes that have the same total."""
    weights: dict[int, float] = {}
    for drawn in product((0, 1), repeat=len(y)):
        each = np.array(drawn)
        if each.sum() == y.sum():
            count = int(each[is_part].sum())
            weights[count] = weights.get(count, 0.0) + float(np.prod(np.where(each, p, 1 - p)))
    observed, total = int(y[is_part].sum()), sum(weights.values())
    low = sum(weight for count, weight in weights.items() if count <= observed)
    high = sum(weight for count, weight in weights.items() if count >= observed)
    return min(1.0, 2 * min(low, high) / total)


@pytest.mark.parametrize("seed", range(6))
def test_p_value_is_that_of_all_outcomes_with_the_same_total(seed: int) -> None:
    dice = np.random.default_rng(seed)
    p, part_of = dice.uniform(0.02, 0.9, 11), dice.integers(0, 3, 11)
    y = (dice.random(11) < p).astype(int)
    y[:2] = 0, 1
    found = part_p_values(y, shifted(y, p), part_of, 3)
    assert found == pytest.approx([by_enumeration(y, p, part_of == each) for each in range(3)])


def test_with_equal_probabilities_it_is_the_hypergeometric_test() -> None:
    part_of = np.repeat([0, 1], [700, 4300])
    y = np.zeros(5000)
    y[:150], y[700:1200] = 1, 1
    law = hypergeom(5000, 650, 700)
    expected = 2 * min(law.cdf(150), law.sf(149))
    found = part_p_values(y, np.full(5000, 0.13), part_of, 2)
    assert found == pytest.approx([expected, expected], rel=1e-6)


def test_a_shift_of_all_log_odds_changes_no_p_value() -> None:
    dice = np.random.default_rng(2)
    p, part_of = dice.beta(1.2, 6, 2000), dice.integers(0, 5, 2000)
    y = dice.random(2000) < p
    level = shifted(y, p)
    assert level.sum() == pytest.approx(y.sum())
    assert np.ptp(logit(level) - logit(p)) < 1e-9
    other = part_p_values(y, expit(logit(level) + 0.3), part_of, 5)
    assert part_p_values(y, level, part_of, 5) == pytest.approx(other, abs=2e-3)


@pytest.mark.parametrize(("loans", "p", "seen"), [(9, 0.5, 2), (3000, 0.13, 400), (400, 0.004, 9)])
def test_counts_of_equal_loans_are_binomial(loans: int, p: float, seen: int) -> None:
    found, first = default_counts(np.array([loans]), np.array([loans * p]), seen)
    counts = np.arange(first, first + len(found))
    assert first <= seen < first + len(found)
    assert found == pytest.approx(binom.pmf(counts, loans, p), abs=1e-14)
    assert found.sum() == pytest.approx(1)


def test_holm_is_its_definition() -> None:
    p_values = np.random.default_rng(1).random(9) ** 3
    ranked = sorted(p_values)
    expected = [
        min(1.0, max((9 - place) * each for place, each in enumerate(ranked) if each <= p))
        for p in p_values
    ]
    assert holm(p_values) == pytest.approx(expected)


def test_a_bad_year_marks_no_segment_and_a_bad_segment_is_marked() -> None:
    """Of batches whose log-odds all rise by 0.6, at most 5 % may have a p-value below 0.05."""
    dice, batches = np.random.default_rng(3), 150
    wrong = found = 0
    for _ in range(batches):
        p, part_of = dice.beta(1.2, 6, 600), dice.choice(5, 600, p=[0.4, 0.4] + [0.2 / 3] * 3)
        year = expit(logit(p) + 0.6)
        y = dice.random(600) < year
        wrong += holm(part_p_values(y, shifted(y, p), part_of, 5)).min() < 0.05
        y = dice.random(600) < np.where(part_of == 1, expit(logit(p) + 1.2), p)
        found += holm(part_p_values(y, shifted(y, p), part_of, 5))[1] < 0.05
    assert binomtest(wrong, batches, 0.05, alternative="greater").pvalue > 0.01
    assert found > 0.9 * batches


def test_small_levels_are_pooled_and_the_order_is_the_contracts() -> None:
    levels = ["b"] * FEWEST + ["a"] * 50 + ["rare"] * (FEWEST - 1) + [NOT_STATED] * 40
    cut = pool_levels("x", Labels.of(levels), ["b", "a", "rare"])
    assert cut.names == ["b", "a", NOT_STATED, OTHER]
    assert np.bincount(cut.code).tolist() == [FEWEST, 50, 40, FEWEST - 1]
    several = Labels.of([f"{place:02}" for place in range(20) for _ in range(40)])
    many = pool_levels("x", several, [])
    assert len(many.names) == MOST + 1
    assert pool_levels("x", Labels.of([]), []).names == []
