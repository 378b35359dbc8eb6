"""Test whether defaults in one part of a batch differ from what the rest of the batch shows.

A part is a segment of the loans, or the loans that one reviewer approved.
"""

import numpy as np
from scipy.special import expit

from loan_scoring.statistics.calibration import SETTLED, log_odds

BINS = 100
"""Loans are grouped into this many bins of probability. In a bin, a part has its mean probability.

The expected number of defaults stays the same. The variance becomes larger by the variance of the
probabilities within a bin, which is less than a thousandth.
"""
REACH = 12.0
"""A distribution is computed as far as this many standard deviations from its mean."""


def shifted(y: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the probabilities with log-odds shifted so that their sum is the number of defaults.

    The shift is solved by Newton's method. Steps are at most 1, with which the method converges
    from any start, because the curvature of the sum changes by at most a factor e in a step.

    Args:
        y: outcomes, 1 for default, with at least one default and one paid loan, shape (rows,).
        probability: expected probabilities, shape (rows,).
    """
    odds, defaults, shift, step = log_odds(probability), float(np.sum(y)), 0.0, 1.0
    while abs(step) > SETTLED:
        p = expit(odds + shift)
        step = float(np.clip((defaults - p.sum()) / (p * (1 - p)).sum(), -1, 1))
        shift += step
    return np.asarray(expit(odds + shift))


def part_p_values(
    y: np.ndarray, probability: np.ndarray, part_of: np.ndarray, parts: int
) -> np.ndarray:
    """Return the exact p-value of the number of defaults in each part, given the batch's total.

    The hypothesis is that the log-odds of all loans are off by one common shift. The total number
    of defaults says all about the shift, so given the total, the number of defaults in a part has a
    distribution that does not depend on it. A change that all loans share, such as a bad year, is
    therefore not found in a part. The method is the exact conditional test of logistic regression
    (Cox 1970, "The analysis of binary data", chapter 4): the probability of k defaults in the part
    is proportional to the probabilities that the part has k and the rest has the others. Both are
    Poisson-binomial distributions.

    A p-value is twice the smaller tail, at most 1. It is valid for any number of loans.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: probabilities from `shifted`, shape (rows,). The p-values are the same with any
            shift, but far from this one they may be too inexact to compute.
        part_of: index of the part of each loan, shape (rows,).
        parts: number of parts.
    """
    loans, sums = _binned(probability, part_of, parts)
    all_loans, all_sums = loans.sum(axis=0), sums.sum(axis=0)
    defaults = np.bincount(part_of, weights=y, minlength=parts).round().astype(int)
    total = int(defaults.sum())
    found = np.ones(parts)
    for place, observed in enumerate(defaults.tolist()):
        part, first = default_counts(loans[place], sums[place], observed)
        rest, first_of_rest = default_counts(
            all_loans - loans[place], all_sums - sums[place], total - observed
        )
        counts = np.arange(
            max(first, total - first_of_rest - len(rest) + 1),
            min(first + len(part) - 1, total - first_of_rest) + 1,
        )
        weight = part[counts - first] * rest[total - counts - first_of_rest]
        tail = min(weight[counts <= observed].sum(), weight[counts >= observed].sum())
        found[place] = min(1.0, float(2 * tail / weight.sum()))
    return found


def is_apart(calibration: float, difference: float, floor: float) -> bool:
    """Return whether a part is far enough from what is expected, and from the rest of the batch.

    Both must be at least the floor, in the same direction. With the difference alone, a good part
    would count as far off where the rest is bad.

    Args:
        calibration: observed minus expected default rate.
        difference: observed default rate minus the rate expected after the common shift.
        floor: smallest distance that counts.
    """
    both = (calibration, difference)
    return max(min(both), -max(both)) >= floor


def default_counts(loans: np.ndarray, sums: np.ndarray, seen: int) -> tuple[np.ndarray, int]:
    """Return the distribution of the number of defaults if each loan defaults on its own.

    This is the Poisson-binomial distribution, from its characteristic function by a discrete
    Fourier transform (Hong 2013, Computational Statistics and Data Analysis 59, 41-51). Only a
    window of counts is computed: REACH standard deviations around the mean, and as far as `seen`.

    Args:
        loans: number of loans in each bin, shape (bins,).
        sums: sum of their probabilities, shape (bins,).
        seen: a count that the window holds.

    Returns:
        Probabilities of consecutive counts, shape (counts,), and the first of these counts.
    """
    loans, sums = loans[loans > 0], sums[loans > 0]
    p, rows = np.clip(sums / loans, 0, 1), round(float(loans.sum()))
    mean, variance = float(sums.sum()), float(loans @ (p * (1 - p)))
    half = int(np.ceil(REACH * variance**0.5 + abs(seen - mean))) + 2
    size = min(2 * half, rows) + 1
    size += size % 2 == 0  # an odd size leaves out the frequency at which a factor may be 0
    first = max(0, min(round(mean) - half, rows + 1 - size))
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    powers = (loans[:, None] * np.log1p(p[:, None] * (turn[None, :] - 1))).sum(axis=0)
    found = np.fft.irfft(np.exp(powers), size)
    return np.maximum(np.roll(found, -(first % size)), 0.0), first


def _binned(
    probability: np.ndarray, part_of: np.ndarray, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the loans of each part in each bin, and the sums of their probabilities.

    Both have shape (parts, bins). Bins hold about the same number of loans.
    """
    bins = min(BINS, len(probability))
    edges = np.quantile(probability, np.arange(1, bins) / bins)
    cell = part_of * bins + np.searchsorted(edges, probability, side="right")
    shape = (parts, bins)
    return (
        np.bincount(cell, minlength=parts * bins).reshape(shape),
        np.bincount(cell, weights=probability, minlength=parts * bins).reshape(shape),
    )


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by Holm's method, shape (tests,).

    The chance that any true hypothesis has an adjusted p-value below a level is at most the level,
    however the tests depend on each other. Source: Holm (1979), Scandinavian Journal of Statistics
    6, 65-70.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    steps = np.arange(len(p_values), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(p_values[order] * steps), 1.0)
    found = np.empty(len(p_values))
    found[order] = adjusted
    return found
