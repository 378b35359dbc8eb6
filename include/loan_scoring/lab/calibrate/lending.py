"""Measure alerts on outcomes in lending as it is: other applicants, funded loans, default together.

All scenarios work on arrays: the probabilities of a pool, its calibration curve, and outcomes.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr, ndtri

from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.mixes import choose_columns, draw_rows, mixes_of_applicants
from loan_scoring.lab.calibrate.pool import LoanPool
from loan_scoring.monitoring.performance.outcome_tests import (
    judge_outcomes,
    night_outcomes,
    tests_of_night,
)
from loan_scoring.monitoring.performance.sequential import SIDES, Increment, accumulate

ALL_LOANS, APPROVED, NOT_DECLINED = "all", "approved", "all but declined"
STREAM = 50
"""Number of nights of one stream, over which the tests over nights accumulate."""
LOANS = 2_000
RHO = 0.02
SHUFFLED = "as in the pool"
FEW = 50
"""Number of loans of a night of the small portfolio."""
YEARS = 3
RISE = 0.03
"""The rise of the small portfolio's default rate that must be found."""


@dataclass(frozen=True)
class OutcomeScenario:
    """Nights whose outcomes are compared with what the model expected.

    `mix` names a mix of `mixes_of_applicants`, or SHUFFLED. `known` says which loans have outcomes.
    If `is_drawn`, outcomes are drawn from the corrected probabilities, so that the model is correct
    by construction; `rho` is then the correlation of defaults in the one-factor model. Otherwise
    they are those of the file. `worsened` is the share of paid loans that default instead,
    `shuffled` the share of loans whose outcomes are permuted, and `rise` a rise of the mean
    probability.
    """

    mix: str = SHUFFLED
    known: str = ALL_LOANS
    is_drawn: bool = False
    rho: float = 0.0
    worsened: float = 0.0
    shuffled: float = 0.0
    rise: float = 0.0
    loans: int = LOANS
    nights: int = STREAM


def lending_scenarios(contract: Contract, pool: LoanPool) -> list[OutcomeScenario]:
    """Return all scenarios of outcomes of a portfolio. The last ones have FEW loans a night."""
    shifts = {each.kind: each.share or 0.0 for each in contract.replay.scenarios.values()}
    worsened, shuffled = (shifts.get(n, 0.25) for n in ("worsen_outcomes", "shuffle_outcomes"))
    mixes = mixes_of_applicants(pool, choose_columns(contract, pool.table))
    found = []
    for known in (ALL_LOANS, APPROVED, NOT_DECLINED):
        for mix in (SHUFFLED, *mixes):
            found += [OutcomeScenario(mix, known, is_drawn) for is_drawn in (True, False)]
        found.append(OutcomeScenario(known=known, is_drawn=True, rho=RHO))
        found.append(OutcomeScenario(known=known, worsened=worsened))
        found.append(OutcomeScenario(known=known, shuffled=shuffled))
    for rise in (0.0, RISE):
        for rho in (0.0, RHO):
            small = OutcomeScenario(
                is_drawn=True, rho=rho, rise=rise, loans=FEW, nights=365 * YEARS
            )
            found.append(small)
    return found


LendingTask = tuple[OutcomeScenario, list[int]]
"""A scenario and a seed."""


def lending_tasks(
    contract: Contract, pool: LoanPool, streams: int, small_streams: int
) -> list[LendingTask]:
    """Return the tasks of `run_stream`: several streams of every scenario."""
    return [
        (scenario, [number, place])
        for number, scenario in enumerate(lending_scenarios(contract, pool))
        for place in range(small_streams if scenario.loans == FEW else streams)
    ]


def run_stream(contract: Contract, pool: LoanPool, task: LendingTask) -> dict[str, Any]:
    """Run the nights of one scenario, and count alerts of one night and of sums over nights.

    Returns:
        The number of nights with an alert of `one_night`, `over_nights` and `either`. `alarms` is
        the number of times that a sum rose above its limit. `first` is the first night with an
        alert of either kind, from 1, None if there was none.
    """
    scenario, seed = task
    dice = np.random.default_rng([contract.training.seed, *seed])
    scored = np.flatnonzero(~np.isnan(pool.probability))
    probability, outcome = pool.probability[scored], pool.outcome[scored]
    true = pool.curve.corrected(probability)
    true = true + scenario.rise * (1 - true) / (1 - true.mean())
    decision = pool.table.column("decision").take(pa.array(scored))
    has_outcome = {
        ALL_LOANS: np.ones(len(scored), bool),
        APPROVED: pc.equal(decision, "approve").to_numpy(),
        NOT_DECLINED: pc.not_equal(decision, "decline").to_numpy(),
    }[scenario.known]
    weights = None
    if scenario.mix != SHUFFLED:
        mixes = mixes_of_applicants(pool, choose_columns(contract, pool.table))
        weights = mixes[scenario.mix][scored]
    policy = contract.performance
    one_night = np.zeros(scenario.nights, bool)
    sides: dict[str, list[tuple[int, Increment]]] = {}
    for night in range(scenario.nights):
        rows = draw_rows(weights, len(scored), scenario.loans, dice)
        y = outcome[rows]
        if scenario.is_drawn:
            y = draw_defaults(true[rows], scenario.rho, dice)
        y = change_outcomes(y, scenario.worsened, scenario.shuffled, dice)
        rows, y = rows[has_outcome[rows]], y[has_outcome[rows]]
        found = night_outcomes(policy, pool.curve, y, probability[rows])
        verdicts = judge_outcomes(policy, contract.monitoring.q, tests_of_night(found))
        one_night[night] = any(each.level != "stable" for each in verdicts)
        for each in found:
            for side, increment in (("rise", each.rise), ("fall", each.fall)):
                if increment is not None:
                    sides.setdefault(f"{each.test} {side}", []).append((night, increment))
    over, alarms = np.zeros(scenario.nights, bool), 0
    for steps in sides.values():
        places, increments = zip(*steps, strict=True)
        sums = accumulate(increments, policy.nights_per_false_alarm * SIDES)
        above = np.array([each.is_alarm for each in sums])
        alarms += int(above[0]) + int((above[1:] & ~above[:-1]).sum())
        over[np.array(places)[above]] = True
    either = one_night | over
    return {
        "scenario": asdict(scenario),
        "one_night": int(one_night.sum()),
        "over_nights": int(over.sum()),
        "either": int(either.sum()),
        "alarms": alarms,
        "first": int(np.argmax(either)) + 1 if either.any() else None,
    }


def draw_defaults(true: np.ndarray, rho: float, dice: np.random.Generator) -> np.ndarray:
    """Draw the defaults of a night, with the correlation `rho` of the one-factor model.

    A loan defaults if sqrt(rho) times the night's factor plus sqrt(1 - rho) times its own normal
    variable is below the quantile of its probability. Source: Vasicek (2002), "The distribution of
    loan portfolio value".

    Args:
        true: probability of default of each loan, shape (rows,).
        rho: correlation of the normal variables of two loans.
        dice: random generator.
    """
    factor = dice.standard_normal() if rho else 0.0
    given = ndtr((ndtri(true) - rho**0.5 * factor) / (1 - rho) ** 0.5)
    return np.asarray(dice.random(len(true)) < given, int)


def change_outcomes(
    y: np.ndarray, worsened: float, shuffled: float, dice: np.random.Generator
) -> np.ndarray:
    """Return outcomes after a share of paid loans defaults, or after a share is permuted."""
    y = y.copy()
    paid = np.flatnonzero(y == 0)
    y[dice.choice(paid, round(worsened * len(paid)), replace=False)] = 1
    rows = dice.choice(len(y), round(shuffled * len(y)), replace=False)
    y[np.sort(rows)] = y[rows]
    return y
