"""The gates with the basics: each fails what it is for, and passes a right model."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from loan_scoring.contract import Contract
from loan_scoring.models.promotion import gates
from loan_scoring.models.promotion import validation_gates as basics
from loan_scoring.models.promotion.validation_gates import LastCohorts
from loan_scoring.models.segmentation import Segmentation
from loan_scoring.statistics.calibration import at_rate
from loan_scoring.statistics.psi import psi, score_psi


def loans(rows: int, seed: int, rate: float = 0.16) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and the probabilities that they were drawn by, shape (rows,) each."""
    dice = np.random.default_rng(seed)
    probability = at_rate(expit(dice.normal(-2, 1.1, rows)), rate * rows)
    return (dice.random(rows) < probability).astype(int), probability


def with_promotion(contract: Contract, **changes: Any) -> Contract:
    raw = contract.model_dump()
    raw["promotion"] |= changes
    return Contract.model_validate(raw)


def test_poor_challenger_is_refused_even_if_it_is_better_than_the_champion(
    loan_default: Contract,
) -> None:
    y, probability = loans(20_000, 1)
    noise = np.random.default_rng(2).normal(0, 1, (2, len(y)))
    poor, poorer = expit(0.1 * logit(probability) + noise * [[0.7], [5.0]] - 1.5)
    assert gates.better(loan_default, y, poor, poorer).passed
    gate = basics.reaches_floor(loan_default, y, poor)
    assert gate.figures["auc"] == pytest.approx(roc_auc_score(y, poor))
    assert 0.5 < gate.figures["auc"] < 0.6
    assert not gate.passed
    assert basics.reaches_floor(loan_default, y, probability).passed
    strict = with_promotion(loan_default, min_auc=0.9)
    assert not basics.reaches_floor(strict, y, probability).passed
    assert strict.promotion.first_model.min_auc == 0.6


@pytest.mark.parametrize(
    ("predicted", "passed"), [(0.102, False), (0.242, False), (0.374, False), (0.16, True)]
)
def test_mean_prediction_far_from_the_observed_rate_is_refused(
    loan_default: Contract, predicted: float, passed: bool
) -> None:
    y, probability = loans(20_000, 3)
    off = at_rate(probability, predicted * len(y))
    assert gates.calibrated(loan_default, y, off, None).passed  # the slope does not show it
    gate = basics.calibrated_in_the_large(loan_default, y, off)
    assert gate.passed is passed
    interval = stats.binomtest(int(y.sum()), len(y)).proportion_ci(method="wilson")
    assert gate.figures["interval"] == pytest.approx([interval.low, interval.high])
    assert gate.figures["limit"] == pytest.approx(min(0.015, 0.1 * y.mean()))


def test_mean_prediction_needs_both_noise_and_limit_exceeded(loan_default: Contract) -> None:
    few, p = loans(150, 4)
    gate = basics.calibrated_in_the_large(loan_default, few, at_rate(p, few.sum() + 4))
    assert gate.passed
    assert "so this is unclear" in gate.sentence
    many, p = loans(400_000, 5)
    gate = basics.calibrated_in_the_large(loan_default, many, at_rate(p, 1.03 * many.sum()))
    assert gate.passed  # certainly off, by less than the limit
    assert "is outside" in gate.sentence


def test_right_model_is_refused_for_its_mean_at_most_once_in_twenty(loan_default: Contract) -> None:
    refused = sum(
        not basics.calibrated_in_the_large(loan_default, *loans(500, 100 + seed)).passed
        for seed in range(200)
    )
    assert refused <= 21  # more than 21 of 200 at 5 % would come 1 time in 600


def test_segment_whose_defaults_stand_out_is_refused_and_named(loan_default: Contract) -> None:
    y, probability = loans(20_000, 6)
    code = np.arange(len(y)) % 4
    cut = Segmentation("region", ["east", "north", "south", "west"], code)
    assert basics.even_segments(loan_default, y, probability, [cut]).passed
    off = np.where(code == 2, expit(logit(probability) - 0.6), probability)
    gate = basics.even_segments(loan_default, y, off, [cut])
    assert not gate.passed
    assert [each["segment"] for each in gate.figures["segments"] if each["stands_out"]] == ["south"]
    assert "region south: predicted" in gate.sentence
    assert basics.even_segments(loan_default, y, off, []).passed


def last_of(y: np.ndarray, p: np.ndarray, champion: np.ndarray | None = None) -> LastCohorts:
    common = None if champion is None else np.ones(len(y), dtype=bool)
    return LastCohorts("2026-01-05", y, p, champion, common)


def test_ranking_that_does_not_last_is_refused(loan_default: Contract) -> None:
    held, last = loans(8000, 7), loans(6000, 8)
    gate = basics.holds_over_time(loan_default, *held, last_of(*last))
    assert gate.passed
    low, high = gate.figures["drop_interval"]
    assert low < 0 < high
    worse = expit(0.3 * logit(last[1]) + np.random.default_rng(9).normal(-1, 1, 6000))
    gate = basics.holds_over_time(loan_default, *held, last_of(last[0], worse))
    assert not gate.passed
    assert gate.figures["drop_interval"][0] > 0.05
    small = last_of(last[0][:120], worse[:120])
    gate = basics.holds_over_time(loan_default, *held, small)
    assert gate.passed
    assert "so this is unclear" in gate.sentence


def test_challenger_that_is_worse_than_the_champion_on_the_last_cohorts_is_refused(
    loan_default: Contract,
) -> None:
    held, (y, p) = loans(8000, 10), loans(6000, 11)
    noise = np.random.default_rng(12).normal(0, 0.4, len(y))
    worse = expit(logit(p) + noise)
    lenient = with_promotion(loan_default, stability={"max_auc_drop": 0.4})
    gate = basics.holds_over_time(lenient, *held, last_of(y, worse, champion=p))
    assert not gate.passed
    assert "worse by more than noise" in gate.sentence
    assert basics.holds_over_time(lenient, *held, last_of(y, p, champion=worse)).passed


def test_scores_that_move_are_refused_and_few_loans_are_not(loan_default: Contract) -> None:
    _, held = loans(8000, 13)
    moved = expit(logit(held) + 0.8)
    y = np.zeros(len(held))
    assert not basics.stable(loan_default, held, last_of(y, moved)).passed
    assert basics.stable(loan_default, held, last_of(y, held)).passed
    few = np.random.default_rng(14).choice(held, (300, 40))
    passed = [basics.stable(loan_default, held, last_of(y[:40], each)).passed for each in few]
    uncorrected = [score_psi(held, each)["psi_uncorrected"] <= 0.25 for each in few]
    assert np.mean(passed) > 0.95 > 0.75 > np.mean(uncorrected)


def test_psi_of_a_score_is_that_of_its_tenths() -> None:
    dice = np.random.default_rng(15)
    before, now = dice.normal(size=5000), dice.normal(0.3, 1, 900)
    found = score_psi(before, now)
    edges = np.quantile(before, np.arange(1, 10) / 10)
    counts = [np.histogram(each, [-np.inf, *edges, np.inf])[0] for each in (before, now)]
    assert found["psi_uncorrected"] == pytest.approx(psi(*counts))
    assert [each["now"] for each in found["bands"]] == pytest.approx((counts[1] / 900).tolist())


def test_missing_cohorts_are_said(loan_default: Contract) -> None:
    y, p = loans(1000, 16)
    for gate in (
        basics.holds_over_time(loan_default, y, p, None, "no loan has a date"),
        basics.stable(loan_default, p, None, "no loan has a date"),
    ):
        assert gate.passed
        assert gate.sentence == "Not measured: no loan has a date."
