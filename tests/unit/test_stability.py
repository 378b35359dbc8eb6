"""Stability and separation of clusters against brute force, and the choice of their number."""

import numpy as np
import pytest
from scipy.stats import f_oneway
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from loan_scoring.models.training.personas import STABLE, PersonaCount, choose_count
from loan_scoring.statistics.stability import bootstrap_stability, jaccard_indices, separation


def brute_jaccard(old: np.ndarray, new: np.ndarray, one: int, two: int) -> float:
    mine = {row for row, number in enumerate(old) if number == one}
    theirs = {row for row, number in enumerate(new) if number == two}
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0


def test_jaccard_indices_are_those_of_sets() -> None:
    dice = np.random.default_rng(1)
    for olds, news in ((1, 1), (3, 2), (4, 7)):
        old, new = dice.integers(0, olds, 60), dice.integers(0, news, 60)
        expected = [[brute_jaccard(old, new, i, j) for j in range(news)] for i in range(olds)]
        assert jaccard_indices(old, new, olds, news) == pytest.approx(np.array(expected))


def test_stability_is_hennigs_by_brute_force() -> None:
    """As clusterboot: sets of the loans that were drawn at least once, however often."""
    dice = np.random.default_rng(2)
    rows = dice.normal(size=(90, 3))
    means = KMeans(4, n_init=2, random_state=0)
    clusters = means.fit_predict(rows)
    found = bootstrap_stability(clusters, 4, lambda d: means.fit_predict(rows[d]), 12, seed=7)
    again = np.random.default_rng(7)
    best: list[list[float]] = [[] for _ in range(4)]
    for _ in range(12):
        draws = sorted(again.integers(0, 90, 90).tolist())
        number = dict(zip(draws, means.fit_predict(rows[draws]).tolist(), strict=True))
        for cluster in range(4):
            mine = {row for row in number if clusters[row] == cluster}
            theirs = [{row for row in number if number[row] == other} for other in range(4)]
            if mine:
                best[cluster].append(max(len(mine & each) / len(mine | each) for each in theirs))
    assert found == pytest.approx([np.mean(each) for each in best])
    assert found.min() < STABLE  # noise has no clusters


def test_clear_clusters_are_stable_and_too_many_are_not() -> None:
    dice = np.random.default_rng(3)
    rows = np.concatenate([dice.normal(place, 0.3, (150, 2)) for place in (0, 5, 10)])
    weakest = {}
    for count in (3, 5):
        means = KMeans(count, n_init=4, random_state=0)
        clusters = means.fit_predict(rows)
        again = lambda draws, means=means: means.fit_predict(rows[draws])  # noqa: E731
        with threadpool_limits(limits=1):
            weakest[count] = bootstrap_stability(clusters, count, again, 20, seed=1).min()
    assert weakest[3] > 0.99 > STABLE > weakest[5]


def test_separation_is_epsilon_squared_of_the_f_statistic() -> None:
    dice = np.random.default_rng(4)
    clusters = dice.integers(0, 4, 3000)
    y = (dice.random(3000) < np.array([0.05, 0.1, 0.2, 0.4])[clusters]).astype(int)
    f = f_oneway(*(y[clusters == each] for each in range(4))).statistic
    expected = (f - 1) * 3 / (f * 3 + 3000 - 4)
    value, error = separation(y, clusters)
    assert value == pytest.approx(expected, rel=1e-9)
    resampled = [
        separation(y[rows], clusters[rows])[0] for rows in dice.integers(0, 3000, (400, 3000))
    ]
    assert error == pytest.approx(np.std(resampled), rel=0.15)


def test_jackknife_error_is_that_of_leaving_out_each_row() -> None:
    dice = np.random.default_rng(5)
    clusters, y = dice.integers(0, 3, 80), dice.integers(0, 2, 80)
    values = [separation(np.delete(y, row), np.delete(clusters, row))[0] for row in range(len(y))]
    expected = np.sqrt(79 / 80 * np.sum((values - np.mean(values)) ** 2))
    assert separation(y, clusters)[1] == pytest.approx(expected, rel=1e-9)


def test_separation_by_chance_is_about_zero_for_any_number() -> None:
    dice = np.random.default_rng(6)
    for count in (2, 8):
        found = [
            separation(dice.integers(0, 2, 500), dice.integers(0, count, 500))[0]
            for _ in range(400)
        ]
        assert abs(np.mean(found)) < 4 * np.std(found) / 20
    assert separation(np.zeros(9), np.arange(9) % 3) == (0.0, 0.0)
    assert separation(np.arange(9) % 2, np.zeros(9, dtype=int)) == (0.0, 0.0)


def judged(personas: int, silhouette: float, weakest: float, separated: float) -> PersonaCount:
    return PersonaCount(personas, silhouette, [weakest, 1.0], separated, 0.004)


def test_number_of_personas_follows_the_stated_rule() -> None:
    stable = [judged(3, 0.3, 0.9, 0.020), judged(4, 0.2, 0.9, 0.023), judged(5, 0.1, 0.85, 0.010)]
    unstable = judged(6, 0.9, 0.84, 0.2)
    assert choose_count([*stable, unstable]).personas == 3  # within one error, larger silhouette
    better = judged(7, 0.05, 0.86, 0.03)
    assert choose_count([*stable, better, unstable]).personas == 7  # separates better
    same = [judged(3, 0.3, 0.9, 0.02), judged(4, 0.3, 0.9, 0.02)]
    assert choose_count(same).personas == 3
    none = [judged(3, 0.3, 0.5, 0.02), judged(4, 0.1, 0.6, 0.01), judged(5, 0.4, 0.6, 0.01)]
    assert choose_count(none).personas == 4  # the most stable weakest persona, then the fewest
