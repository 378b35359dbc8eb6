"""Intervals from bins of probabilities are those of single loans, drawn here one by one."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from loan_scoring.models.groups import labels
from loan_scoring.monitoring.performance.estimated import draw_defaults, metrics_of_draws
from loan_scoring.monitoring.performance.loss import decision_segments, draw_losses
from loan_scoring.statistics.bins import MOST_BINS, group_by_probability
from loan_scoring.statistics.calibration import slope_and_intercept
from loan_scoring.statistics.calibration_curve import AS_THEY_ARE, fit_calibration_curve
from loan_scoring.statistics.fairness import NOT_STATED
from loan_scoring.statistics.intervals import bootstrap
from loan_scoring.statistics.labels import Labels

LOANS = 5 * MOST_BINS
THRESHOLD = 0.3
ERROR_OF_BINS, ERROR_OF_KS = 0.01, 0.05
"""What bins may change in a resample, as a share of the standard error of the metric.

The largest gap of KS mostly lies inside a bin, so that bins change KS most.
"""


def scores(loans: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).beta(1.2, 6, loans)


def by_loan(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    auc, slope = sklearn.roc_auc_score(y, p), slope_and_intercept(y, p)
    return {
        "auc": auc,
        "gini": 2 * auc - 1,
        "ks": float(stats.ks_2samp(p[y == 1], p[y == 0]).statistic),
        "f1": sklearn.f1_score(y, p >= THRESHOLD),
        "precision": sklearn.precision_score(y, p >= THRESHOLD),
        "recall": sklearn.recall_score(y, p >= THRESHOLD),
        "brier": sklearn.brier_score_loss(y, p),
        "log_loss": sklearn.log_loss(y, p),
        "calibration_slope": slope[0],
        "calibration_intercept": slope[1],
    }


@pytest.mark.parametrize("digits", [None, 3])
def test_bins_keep_every_loan_equal_scores_and_the_threshold(digits: int | None) -> None:
    p = scores(LOANS, 1) if digits is None else scores(LOANS, 1).round(digits)
    bins = group_by_probability(p, THRESHOLD)
    assert len(bins.loans) == (len(np.unique(p)) if digits else MOST_BINS + 1)
    assert (np.bincount(bins.places) == bins.loans).all()
    assert (np.diff(bins.centres) > 0).all()
    assert ((bins.centres >= THRESHOLD)[bins.places] == (p >= THRESHOLD)).all()
    assert bins.loans @ bins.centres == pytest.approx(p.sum())
    if digits:
        assert (bins.centres[bins.places] == p).all()


def test_a_score_of_many_loans_is_a_bin_that_the_threshold_does_not_cut() -> None:
    p = np.concatenate([scores(LOANS, 1), np.full(LOANS, 0.1 + 0.2), np.zeros(10)])
    bins = group_by_probability(p, 0.1 + 0.2)
    place = bins.places[LOANS]
    assert (bins.places[LOANS : 2 * LOANS] == place).all()
    assert bins.centres[place] >= 0.1 + 0.2
    assert ((bins.centres >= 0.1 + 0.2)[bins.places] == (p >= 0.1 + 0.2)).all()


def test_metrics_of_the_same_outcomes_are_scikit_learns_but_for_the_error_of_bins() -> None:
    p, dice = scores(LOANS, 2), np.random.default_rng(3)
    bins = group_by_probability(p, THRESHOLD)
    drawn = [(dice.random(LOANS) < p).astype(int) for _ in range(20)]
    counts = np.array([np.bincount(bins.places, y, len(bins.loans)) for y in drawn])
    found = metrics_of_draws(bins, THRESHOLD, counts)
    theirs = [by_loan(y, p) for y in drawn]
    for name in found.keys() - {"default_rate"}:
        known = np.array([each[name] for each in theirs])
        share = ERROR_OF_KS if name == "ks" else ERROR_OF_BINS
        assert found[name] == pytest.approx(known, abs=share * known.std()), name


def test_estimated_metrics_are_drawn_as_from_single_loans() -> None:
    p, held = scores(LOANS, 4), scores(3000, 5)
    curve = fit_calibration_curve(np.random.default_rng(6).random(3000) < held, held)
    bins, draws = group_by_probability(p, THRESHOLD), 600
    found = metrics_of_draws(bins, THRESHOLD, draw_defaults(bins, curve, draws, 1))
    dice = np.random.default_rng(7)
    loans = [dice.random(LOANS) < true for true in curve.draws(p, draws, dice)]
    theirs = {
        "default_rate": [y.mean() for y in loans],
        "auc": [sklearn.roc_auc_score(y, p) for y in loans],
        "brier": [np.mean((p - y) ** 2) for y in loans],
    }
    for name, values in theirs.items():
        assert stats.ks_2samp(found[name], values).pvalue > 1e-3, name


def test_bootstrap_of_many_loans_is_that_of_single_loans() -> None:
    p, dice = scores(LOANS, 8), np.random.default_rng(9)
    y = (dice.random(LOANS) < p).astype(int)
    found = bootstrap(y, p, THRESHOLD, 4000, 1)
    drawn = (dice.integers(LOANS, size=LOANS) for _ in range(200))
    theirs = [by_loan(y[rows], p[rows]) for rows in drawn]
    assert found.keys() == theirs[0].keys()
    for name, (lower, upper) in found.items():
        values = np.array([each[name] for each in theirs])
        # Two hundred resamples give a mean to 7 % and a deviation to 5 % of the deviation.
        assert (lower + upper) / 2 == pytest.approx(values.mean(), abs=0.3 * values.std()), name
        assert upper - lower == pytest.approx(2 * 1.96 * values.std(), rel=0.2), name


@pytest.mark.parametrize("rate", [0.003, 0.1])
def test_loss_of_many_loans_is_drawn_as_from_single_loans(rate: float) -> None:
    dice, loans = np.random.default_rng(10), 2 * MOST_BINS
    p = dice.beta(1.2, 1.2 / rate, loans)
    exposure = dice.lognormal(11, 1, loans)
    bins = group_by_probability(p, THRESHOLD)
    found = draw_losses(bins.centres, bins.places, exposure, AS_THEY_ARE, 20_000, 1)
    theirs = np.array([(dice.random(loans) < p) @ exposure for _ in range(20_000)])
    share = [2.5, 97.5]
    difference = np.percentile(found, share) - np.percentile(theirs, share)
    assert np.abs(difference).max() < 0.08 * theirs.std()
    assert stats.skew(found) == pytest.approx(stats.skew(theirs), abs=0.15)


def test_loss_of_few_loans_is_nothing_or_that_of_single_loans() -> None:
    exposure = np.array([100.0, 1000.0])
    found = draw_losses(np.array([0.1]), np.zeros(2, int), exposure, AS_THEY_ARE, 4000, 1)
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [0, 100, 1000, 1100]
    assert counts / 4000 == pytest.approx([0.81, 0.09, 0.09, 0.01], abs=0.02)


def test_the_seed_decides_every_draw() -> None:
    p = scores(LOANS, 11)
    y = (np.random.default_rng(12).random(LOANS) < p).astype(int)
    bins = group_by_probability(p, THRESHOLD)
    losses = [draw_losses(bins.centres, bins.places, p, AS_THEY_ARE, 100, s) for s in (1, 1, 2)]
    assert (losses[0] == losses[1]).all()
    assert (losses[0] != losses[2]).any()
    found = [bootstrap(y, p, THRESHOLD, 100, seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_labels_are_the_texts_of_a_column() -> None:
    texts = ["b", None, "a", "b", NOT_STATED]
    plain = pa.chunked_array([texts[:2], texts[2:]], pa.string())
    coded = pa.chunked_array(
        [pa.array(each.to_pylist()).dictionary_encode() for each in plain.chunks]
    )
    for column in (plain, coded, pa.array(texts)):
        found = labels(column)
        assert [found.names[code] for code in found.codes] == [t or NOT_STATED for t in texts]
        assert found.counts() == {"b": 2, "a": 1, NOT_STATED: 2}
        assert found.counts(np.array([0.5, 1, 1, 1, 1])) == {"b": 1.5, "a": 1, NOT_STATED: 2}
        assert found.among(np.array([0, 2])).counts() == {"b": 1, "a": 1}


def test_segments_are_all_loans_and_each_persona_that_has_loans() -> None:
    personas = Labels.of(["y", "x", "y"])
    found = {name: mask.tolist() for name, mask in decision_segments(personas)}
    assert found == {"all": [True] * 3, "x": [False, True, False], "y": [True, False, True]}
    assert [name for name, _ in decision_segments(personas.among(np.array([0])))] == ["all", "y"]
