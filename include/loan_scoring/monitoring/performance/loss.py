"""Calculate approval rate, expected loss and realised loss of the segments of a batch."""

from collections.abc import Iterator

import numpy as np

from loan_scoring.monitoring.performance.estimated import BLOCK_VALUES, prediction_limits
from loan_scoring.statistics.intervals import Estimate, wilson

ALL = "all"
"""Name of the segment that holds every scored loan. Every other segment is a persona."""


def decision_segments(personas: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each segment and a mask of its rows, shape (rows,), bool.

    The segment `all` comes first. The personas follow, sorted by name.
    """
    persona_of = np.asarray(personas, dtype=object)
    yield ALL, np.ones(len(persona_of), dtype=bool)
    for name in sorted(set(personas)):
        yield name, persona_of == name


def approval_rate(approved: np.ndarray) -> Estimate:
    """Return the share of approved loans, with Wilson's 95 % interval."""
    rate = float(np.mean(approved))
    return Estimate(rate, *wilson(rate * len(approved), len(approved)))


def exposures(amount: np.ndarray, loss_given_default: float) -> np.ndarray:
    """Return the money that is lost on each loan if it defaults, shape (rows,).

    The caller leaves out loans whose amount is unknown.

    Args:
        amount: amount of each loan, shape (rows,).
        loss_given_default: share of the amount that is lost if the loan defaults.
    """
    return np.asarray(amount * loss_given_default)


def expected_loss(true: np.ndarray, exposure: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Return the expected loss of the loans, in the amount's unit, with its interval.

    The expected loss is the sum of probability x loss given default x amount. Source: Basel
    Committee (2005), "An explanatory note on the Basel II IRB risk weight functions", section 2.1:
    EL = PD x LGD x EAD. The interval comes from the losses under the drawn outcomes. The
    interval does not include the uncertainty of loss given default.

    Args:
        true: recalibrated probability with which each loan defaults, shape (rows,).
        exposure: exposure of each loan, from `exposures`, shape (rows,).
        drawn: outcomes from `estimated.draw_outcomes`, shape (resamples, rows).
    """
    size = max(1, BLOCK_VALUES // max(len(true), 1))
    losses = [
        drawn[start : start + size].astype(float) @ exposure for start in range(0, len(drawn), size)
    ]
    return Estimate(float(true @ exposure), *prediction_limits(np.concatenate(losses)))


def realised_loss(y: np.ndarray, exposure: np.ndarray) -> Estimate:
    """Return the money lost on the loans that defaulted, in the amount's unit, without interval.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        exposure: exposure of each loan, from `exposures`, shape (rows,).
    """
    return Estimate(float(y @ exposure))
