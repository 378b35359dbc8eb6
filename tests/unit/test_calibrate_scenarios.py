"""Scenarios of a calibration: mixes, correlated defaults and changed outcomes are what they say."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.lending import (
    APPROVED,
    OutcomeScenario,
    change_outcomes,
    draw_defaults,
    run_stream,
)
from loan_scoring.lab.calibrate.mixes import (
    choose_columns,
    level_weights,
    mixes_of_applicants,
    normal_scores,
)
from loan_scoring.lab.calibrate.nights import BOTH, WEEKEND, night_tasks, run_nights
from loan_scoring.lab.calibrate.pool import LoanPool, build_pool


@pytest.fixture(scope="module")
def pool(loan_default: Contract, tmp_path_factory: pytest.TempPathFactory) -> LoanPool:
    patch = pytest.MonkeyPatch()
    patch.delenv("LOAN_SCORING_SOURCE", raising=False)
    patch.setenv("LOAN_SCORING_DATA", str(tmp_path_factory.mktemp("data")))
    try:
        return build_pool(loan_default, rows=9_000)
    finally:
        patch.undo()


def test_weights_move_the_mean_and_the_share_as_they_say(
    loan_default: Contract, pool: LoanPool
) -> None:
    scores = normal_scores(np.random.default_rng(1).lognormal(size=20_000))
    weights = np.exp(0.3 * scores)
    mean = np.average(scores, weights=weights)
    assert mean == pytest.approx(0.3, abs=0.01)
    assert np.average((scores - mean) ** 2, weights=weights) == pytest.approx(1, abs=0.02)
    chosen = choose_columns(loan_default, pool.table)
    is_level = np.array(pool.table.column(chosen.category).to_pylist()) == chosen.level
    halved = level_weights(pool, chosen.category, chosen.level, 0.5)
    assert np.average(is_level, weights=halved) == pytest.approx(is_level.mean() / 2)
    assert len(mixes_of_applicants(pool, chosen)) == 6


def test_correlated_defaults_have_the_variance_of_the_one_factor_model() -> None:
    dice = np.random.default_rng(1)
    p, rho, loans = 0.15, 0.1, 400
    rates = [draw_defaults(np.full(loans, p), rho, dice).mean() for _ in range(8_000)]
    limit = norm.ppf(p)
    both = multivariate_normal.cdf([limit, limit], cov=[[1, rho], [rho, 1]])
    expected = p * (1 - p) / loans + (1 - 1 / loans) * (both - p * p)
    assert np.mean(rates) == pytest.approx(p, abs=0.002)
    assert np.var(rates) == pytest.approx(expected, rel=0.05)


def test_outcomes_change_by_the_given_shares() -> None:
    y = np.repeat([0, 1], [800, 200])
    dice = np.random.default_rng(1)
    assert change_outcomes(y, 0.2, 0.0, dice).sum() == 200 + 160
    permuted = change_outcomes(y, 0.0, 0.3, dice)
    assert permuted.sum() == 200
    assert 0 < (permuted != y).sum() < 300
    assert y.tolist() == [0] * 800 + [1] * 200


def test_a_correct_model_is_quiet_and_a_target_shift_is_found(
    loan_default: Contract, pool: LoanPool
) -> None:
    quiet = OutcomeScenario(known=APPROVED, is_drawn=True, loans=1_000, nights=10)
    worse = OutcomeScenario(worsened=0.2, is_drawn=True, loans=1_000, nights=5)
    assert run_stream(loan_default, pool, (quiet, [1]))["either"] == 0
    found = run_stream(loan_default, pool, (worse, [1]))
    assert (found["one_night"], found["first"]) == (5, 1)


def test_a_creep_is_found_and_a_rare_level_that_surges_too(
    loan_default: Contract, pool: LoanPool
) -> None:
    assert ("creep after 8 weeks of both", 2_000, 0) in night_tasks((500, 2_000, 5_000), 1)
    creep = run_nights(loan_default, pool, ("creep after training", 1_000, 0))
    assert 1 <= creep["nights"] <= 20
    rare = run_nights(loan_default, pool, ("rare level", 500, 0))
    assert rare["found"] == [20, 20]
    assert rare["usual"] < 0.001
    assert {WEEKEND, BOTH} < {name for name, _, _ in night_tasks((500,), 1)}
