"""Each gate's statistic against an independent implementation, each verdict at its limits."""

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from loan_scoring.contract import Contract
from loan_scoring.models.promotion import gates
from loan_scoring.statistics import fairness
from loan_scoring.statistics.auc import auc, auc_differences
from loan_scoring.statistics.calibration import fit_calibration_line


def outcomes(rows: int, seed: int, lift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes and the probabilities that they were drawn by, shape (rows,) each."""
    random = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(1.7 - lift * random.normal(size=rows)))
    return (random.random(rows) < probability).astype(int), probability


def blurred(probability: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Return probabilities whose log-odds have noise added: a worse model of the same loans."""
    odds = np.log(probability / (1 - probability))
    odds += np.random.default_rng(seed).normal(0, noise, len(odds))
    return 1 / (1 + np.exp(-odds))


def delong(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the difference of two AUCs over the same loans, and its standard error.

    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44, 837-845, by its definition: the mean
    over all pairs of a default and a paid loan, and the covariances of the structural components.
    """
    components = []
    for scores in (first, second):
        above = scores[y == 1][:, None] - scores[y == 0][None, :]
        wins = (above > 0) + 0.5 * (above == 0)
        components.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_defaults = np.cov(components[0][0], components[1][0])
    of_paid = np.cov(components[0][1], components[1][1])
    covariance = of_defaults / (y == 1).sum() + of_paid / (y == 0).sum()
    contrast = np.array([1, -1])
    difference = components[0][0].mean() - components[1][0].mean()
    return float(difference), float(np.sqrt(contrast @ covariance @ contrast))


def with_promotion(contract: Contract, **changes: Any) -> Contract:
    raw = contract.model_dump()
    raw["promotion"] |= changes
    return Contract.model_validate(raw)


def test_auc_is_that_of_scikit_learn_ties_included() -> None:
    y, probability = outcomes(2000, 1)
    for scores in (probability, probability.round(1), np.full(2000, 0.3)):
        assert auc(y, scores) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_paired_bootstrap_agrees_with_delong(noise: float) -> None:
    y, probability = outcomes(3000, 2)
    other = blurred(probability, noise, 3)
    difference, error = delong(y, probability, other)
    found = auc_differences(y, probability, other, seed=5)
    assert np.mean(found) == pytest.approx(difference, abs=error / 5)
    assert np.std(found) == pytest.approx(error, rel=0.08)
    low, high = np.quantile(found, [0.025, 0.975])
    assert (low, high) == pytest.approx(
        (difference - 1.96 * error, difference + 1.96 * error), abs=error / 4
    )


def test_paired_bootstrap_agrees_with_that_of_scipy() -> None:
    y, probability = outcomes(600, 4)
    other = blurred(probability, 0.5, 5)
    found = np.quantile(auc_differences(y, probability, other, seed=6), [0.025, 0.975])
    interval = stats.bootstrap(
        (y, probability, other),
        lambda y, a, b: roc_auc_score(y, a) - roc_auc_score(y, b),
        paired=True,
        vectorized=False,
        n_resamples=800,
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    width = interval.high - interval.low
    assert found == pytest.approx([interval.low, interval.high], abs=width / 8)


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    y, probability = outcomes(500, 8)
    other = blurred(probability, 0.3, 9)
    first, again, another = (auc_differences(y, probability, other, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != another.tobytes()


def test_better_needs_more_than_noise(loan_default: Contract) -> None:
    y, probability = outcomes(8000, 10)
    worse = blurred(probability, 0.8, 11)
    assert gates.better(loan_default, y, probability, None).passed
    assert gates.better(loan_default, y, probability, worse).passed
    assert not gates.better(loan_default, y, worse, probability).passed
    assert not gates.better(loan_default, y, probability, probability).passed
    # A little better, but by no more than chance.
    noise = blurred(probability, 0.05, 12)
    challenger, champion = sorted((probability, noise), key=lambda p: -auc(y, p))
    gate = gates.better(loan_default, y, challenger, champion)
    assert gate.figures["difference"] > 0
    assert not gate.passed
    assert "is not above noise" in gate.sentence


def test_better_passes_right_probabilities_with_the_same_ranking(
    loan_default: Contract,
) -> None:
    dice = np.random.default_rng(3)
    odds = dice.normal(-1, 1, 4000)
    y = (dice.random(4000) < expit(odds)).astype(int)
    right, wrong = expit(odds), expit(odds - 1)
    assert gates.better(loan_default, y, right, wrong).passed
    assert not gates.better(loan_default, y, wrong, right).passed
    worse_ranking = expit(odds + dice.normal(0, 0.5, 4000))
    assert not gates.better(loan_default, y, worse_ranking, wrong).passed


def test_difference_in_log_loss_is_that_of_scikit_learn_and_scipy() -> None:
    dice = np.random.default_rng(4)
    y = dice.integers(0, 2, 500)
    first, second = dice.uniform(0.01, 0.99, (2, 500))
    mean, interval = gates.log_loss_difference(y, first, second, 0.95)
    assert mean == pytest.approx(log_loss(y, first) - log_loss(y, second))
    losses = [-np.log(np.where(y == 1, p, 1 - p)) for p in (first, second)]
    spread = stats.sem(losses[0] - losses[1])
    assert interval == pytest.approx(stats.norm.interval(0.95, mean, spread))


def test_noise_passes_no_more_often_than_the_confidence_allows() -> None:
    passed = 0
    for seed in range(60):
        y, probability = outcomes(1000, 100 + seed)
        first, second = (blurred(probability, 0.3, 1000 + 2 * seed + each) for each in (0, 1))
        passed += np.quantile(auc_differences(y, first, second, seed, 300), 0.025) > 0
    # 2.5 % are expected to: more than 5 of 60 would come 1 time in 600.
    assert passed <= 5


def test_calibration_is_the_maximum_likelihood_found_by_scipy() -> None:
    y, probability = outcomes(4000, 13)
    for predicted in (probability, 1 / (1 + (1 / probability - 1) ** 1.6), probability**1.3):
        odds = np.log(predicted / (1 - predicted))

        def loss(line: np.ndarray, odds: np.ndarray = odds) -> float:
            z = line[0] + line[1] * odds
            return float(np.sum(np.logaddexp(0, z) - y * z))

        best = optimize.minimize(loss, [0.0, 1.0], method="BFGS", options={"gtol": 1e-6})
        found = fit_calibration_line(y, predicted)
        assert (found.intercept, found.slope) == pytest.approx(best.x, abs=1e-4)
        curvature = optimize.approx_fprime(
            best.x, lambda line: optimize.approx_fprime(line, loss, 1e-4), 1e-4
        )
        error = np.sqrt(np.linalg.inv(curvature)[1, 1])
        assert found.standard_error == pytest.approx(error, rel=0.01)


def test_calibration_of_constant_or_perfect_probabilities_is_not_defined(
    loan_default: Contract,
) -> None:
    y, _ = outcomes(500, 14)
    for predicted in (np.full(500, 0.2), np.where(y == 1, 0.9, 0.1)):
        gate = gates.calibrated(loan_default, y, predicted, None)
        assert not gate.passed
        assert gate.figures["slope"] is None


def test_worse_calibration_is_refused(loan_default: Contract) -> None:
    y, probability = outcomes(20_000, 15)
    odds = np.log(probability / (1 - probability))
    stretched = {scale: 1 / (1 + np.exp(-scale * odds)) for scale in (0.7, 1.0, 1.4)}
    verdicts = {
        scale: gates.calibrated(loan_default, y, each, probability)
        for scale, each in stretched.items()
    }
    assert {scale: gate.passed for scale, gate in verdicts.items()} == {
        0.7: False, 1.0: True, 1.4: False,
    }  # fmt: skip
    assert verdicts[1.4].figures["slope"] == pytest.approx(1 / 1.4, abs=0.05)
    assert verdicts[1.4].figures["champion_slope"] == pytest.approx(1, abs=0.05)


def groups(*declared: tuple[str | None, int, float]) -> tuple[list[str | None], np.ndarray]:
    """Return group and approval of each row from (group, rows, approval rate)."""
    values = [name for name, rows, _ in declared for _ in range(rows)]
    approved = np.concatenate([np.arange(rows) < round(rows * rate) for _, rows, rate in declared])
    return values, approved


def test_fairness_floor_is_enforced(loan_default: Contract) -> None:
    for rate, passed in ((0.65, True), (0.63, True), (0.6, False)):
        values, approved = groups(("Male", 2000, 0.8), ("Female", 2000, rate))
        parity = fairness.approval_parity(
            loan_default.group_rule("gender"), values, approved.astype(int), approved
        )
        assert parity.ratio == pytest.approx(rate / 0.8)
        assert (parity.lowest, parity.highest) == ("Female", "Male")
        gate = gates.fair(loan_default, [parity])
        assert gate.passed == passed
        assert "Female is approved" in gate.sentence
        # 0.7875 is below the floor, and its interval is not.
        assert ("so this is unclear" in gate.sentence) is (rate == 0.63)


def test_small_groups_and_levels_that_are_not_groups_are_left_out(
    loan_default: Contract,
) -> None:
    values, approved = groups(
        ("Male", 400, 0.7), ("Female", 300, 0.63), ("Joint", 500, 0.95), (None, 199, 0.1)
    )
    parity = fairness.approval_parity(
        loan_default.group_rule("gender"), values, np.zeros(len(values), int), approved
    )
    assert parity.ratio == pytest.approx(0.9)
    assert parity.ratio_of_all == pytest.approx(0.63 / 0.95)
    left_out = {each["group"]: each["left_out"] for each in parity.groups}
    assert left_out["Male"] is left_out["Female"] is None
    assert left_out["not stated"] == "fewer than 200 loans"
    assert "two people" in left_out["Joint"]
    (joint,) = (each for each in parity.groups if each["group"] == "Joint")
    assert (joint["rows"], joint["approval_rate"]) == (500, 0.95)


def test_one_group_is_not_compared_and_no_approvals_are_equal(
    loan_default: Contract,
) -> None:
    values, approved = groups(("Male", 400, 0.7), ("Female", 100, 0.1))
    alone = fairness.approval_parity(
        loan_default.group_rule("gender"), values, np.zeros(500, int), approved
    )
    assert alone.ratio is None
    gate = gates.fair(loan_default, [alone])
    assert gate.passed
    assert "fewer than two groups" in gate.sentence
    values, nobody = groups(("Male", 400, 0), ("Female", 400, 0))
    assert (
        fairness.approval_parity(
            loan_default.group_rule("gender"), values, nobody.astype(int), nobody
        ).ratio
        == 1
    )


def test_leak_gate_needs_a_report_without_a_leaking_feature() -> None:
    findings = [
        {"column": "spread", "is_decisive": True},
        {"column": "income", "is_decisive": False},
    ]
    report = {"findings": findings}
    assert gates.free_of_leaks(report, ["income"]).passed
    leaking = gates.free_of_leaks(report, ["income", "spread"])
    assert not leaking.passed
    assert leaking.sentence == "The model reads columns that leak the outcome: spread."
    assert not gates.free_of_leaks(None, ["income"]).passed


# The first model, where there is no champion


def test_first_model_needs_the_floor_and_must_be_better_than_chance(loan_default: Contract) -> None:
    y, probability = outcomes(4000, 20)
    gate = gates.better(loan_default, y, probability, None)
    assert gate.passed
    own, _ = delong(y, probability, np.zeros(len(y)))
    low, high = gate.figures["auc_interval"]
    assert (low + high) / 2 == pytest.approx(gate.figures["auc"]) == own + 0.5
    higher = with_promotion(loan_default, first_model={"min_auc": 0.9})
    gate = gates.better(higher, y, probability, None)
    assert not gate.passed
    assert "is below the floor of 0.9" in gate.sentence
    # 13 loans may rank well by chance: the interval reaches 0.5.
    few = np.array([0] * 10 + [1] * 3)
    gate = gates.better(loan_default, few, np.append(np.arange(10), [4.5, 8.5, 9.5]) / 20, None)
    assert gate.figures["auc"] >= 0.6
    assert not gate.passed
    assert "lies not above 0.5" in gate.sentence


def test_interval_of_the_first_auc_is_that_of_scipys_bootstrap(loan_default: Contract) -> None:
    y, probability = outcomes(500, 21)
    low, high = gates.above_floor(loan_default, y, probability).figures["auc_interval"]
    interval = stats.bootstrap(
        (y, probability),
        roc_auc_score,
        paired=True,
        vectorized=False,
        n_resamples=800,
        method="percentile",
        rng=np.random.default_rng(22),
    ).confidence_interval
    width = interval.high - interval.low
    assert [low, high] == pytest.approx([interval.low, interval.high], abs=width / 8)


@pytest.mark.parametrize(("rows", "passed"), [(400, True), (20_000, False)])
def test_slope_fails_only_if_its_interval_is_beyond_the_limits(
    loan_default: Contract, rows: int, passed: bool
) -> None:
    y, probability = outcomes(rows, 24)
    stretched = expit(np.log(probability / (1 - probability)) / 0.8)
    gate = gates.calibrated(loan_default, y, stretched, None)
    low, high = gate.figures["interval"]
    assert not 0.9 <= gate.figures["slope"] <= 1.1
    assert gate.passed is passed is (low <= 1.1 and high >= 0.9)
    assert "its 95 % interval [" in gate.sentence
    assert ("so this is unclear" in gate.sentence) is passed
    assert gates.calibrated(loan_default, y, stretched, probability).passed is passed


@pytest.mark.parametrize(("rows", "passed"), [(250, True), (5000, False)])
def test_ratio_fails_only_if_its_interval_is_below_the_floor(
    loan_default: Contract, rows: int, passed: bool
) -> None:
    values, approved = groups(("Male", rows, 0.8), ("Female", rows, 0.6))
    parity = fairness.approval_parity(
        loan_default.group_rule("gender"), values, approved.astype(int), approved
    )
    gate = gates.fair(loan_default, [parity])
    assert gate.passed is passed
    low, high = gate.figures["attributes"]["gender"]["interval"]
    assert (high >= 0.8) is passed
    assert f"95 % interval [{low:.3f}, {high:.3f}]" in gate.sentence
    # Katz et al. (1978): the log of a ratio of two shares is about normal.
    error = np.sqrt(0.2 / (0.8 * rows) + 0.4 / (0.6 * rows))
    expected = 0.75 * np.exp(np.array([-1.96, 1.96]) * error)
    assert [low, high] == pytest.approx(expected, rel=0.02)


def test_slope_gate_refuses_a_right_model_about_once_in_forty(loan_default: Contract) -> None:
    refused = 0
    for seed in range(200):
        y, probability = outcomes(500, 3000 + seed)
        exact = with_promotion(loan_default, calibration_slope=[0.999, 1.001])
        refused += not gates.calibrated(exact, y, probability, None).passed
    # 5 % of the intervals miss the true slope of 1: more than 21 of 200 would come 1 time in 600.
    assert 1 <= refused <= 21
