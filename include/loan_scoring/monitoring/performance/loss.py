"""Approval rate, expected loss and realised loss of a batch, by segment."""

from collections.abc import Iterator

import numpy as np

from loan_scoring.monitoring.performance.estimated import BLOCK_VALUES, prediction_limits
from loan_scoring.statistics.intervals import Estimate, wilson

ALL = "all"
"""The segment of every scored loan; the others are personas."""


def decision_segments(personas: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each segment's name and which rows are in it, shape (rows,), bool, `all` first."""
    persona_of = np.asarray(personas, dtype=object)
    yield ALL, np.ones(len(persona_of), dtype=bool)
    for name in sorted(set(personas)):
        yield name, persona_of == name


def approval_rate(approved: np.ndarray) -> Estimate:
    """Return the share of approved loans, with Wilson's 95 % interval."""
    rate = float(np.mean(approved))
    return Estimate(rate, *wilson(rate * len(approved), len(approved)))


def exposures(amount: np.ndarray, loss_given_default: float) -> np.ndarray:
    """Return what is lost on each loan if it defaults, in the amount's unit, shape (rows,).

    The caller leaves out loans whose amount is unknown.
    """
    return np.asarray(amount * loss_given_default)


def expected_loss(true: np.ndarray, exposure: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Return the sum of probability x loss given default x amount, in the amount's unit.

    Source: Basel Committee (2005), "An explanatory note on the Basel II IRB risk weight
    functions", section 2.1: EL = PD x LGD x EAD. The interval is that of the realised loss over
    drawn outcomes; loss given default is taken as certain.

    Args:
        true: the probability with which each loan defaults, shape (rows,).
        exposure: from `exposures`, shape (rows,).
        drawn: from `estimated.draw_outcomes`, shape (resamples, rows).
    """
    size = max(1, BLOCK_VALUES // max(len(true), 1))
    losses = [
        drawn[start : start + size].astype(float) @ exposure for start in range(0, len(drawn), size)
    ]
    return Estimate(float(true @ exposure), *prediction_limits(np.concatenate(losses)))


def realised_loss(y: np.ndarray, exposure: np.ndarray) -> Estimate:
    """Return what was lost on the loans that defaulted, in the amount's unit, without interval.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        exposure: from `exposures`, shape (rows,).
    """
    return Estimate(float(y @ exposure))
