"""What a batch is worth: how many are approved, what is expected to be lost, what was lost."""

from collections.abc import Iterator

import numpy as np

from loan_scoring.monitoring.performance.estimated import BLOCK_VALUES, prediction_limits
from loan_scoring.statistics.intervals import Estimate, wilson

ALL = "all"
"""The segment of every scored loan; the others are personas."""


def decision_segments(personas: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each segment and which rows are in it, shape (rows,), `all` first."""
    of = np.asarray(personas, dtype=object)
    yield ALL, np.ones(len(of), dtype=bool)
    for name in sorted(set(personas)):
        yield name, of == name


def approval_rate(approved: np.ndarray) -> Estimate:
    """Return the share of loans that are approved, with Wilson's 95 % interval."""
    rate = float(np.mean(approved))
    return Estimate(rate, *wilson(rate * len(approved), len(approved)))


def exposures(amount: np.ndarray, loss_given_default: float) -> np.ndarray:
    """Return what is lost on each loan if it defaults, in the amount's unit, shape (rows,).

    Loans whose amount is not known are to be left out: `loans` says how many are counted.
    """
    return np.asarray(amount * loss_given_default)


def expected_loss(true: np.ndarray, exposure: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Return the sum of probability x loss given default x amount, in the amount's unit.

    Source: Basel Committee (2005), "An explanatory note on the Basel II IRB risk weight
    functions", section 2.1: EL = PD x LGD x EAD. The interval is that of the realised loss, over
    drawn outcomes, the loss given default taken as stated.

    Args:
        true: the probability with which each loan defaults, shape (rows,).
        exposure: by `exposures`, shape (rows,).
        drawn: outcomes by `estimated.draw`, shape (resamples, rows).
    """
    size = max(1, BLOCK_VALUES // max(len(true), 1))
    losses = [
        drawn[start : start + size].astype(float) @ exposure for start in range(0, len(drawn), size)
    ]
    return Estimate(float(true @ exposure), *prediction_limits(np.concatenate(losses)))


def realised_loss(y: np.ndarray, exposure: np.ndarray) -> Estimate:
    """Return what was lost on the loans that defaulted, in the amount's unit; it has no noise.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        exposure: by `exposures`, shape (rows,).
    """
    return Estimate(float(y @ exposure))
