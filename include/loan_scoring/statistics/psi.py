"""Calculate the population stability index, and what it is by chance alone."""

from typing import Any

import numpy as np
from scipy.special import chdtri

SCORE_BANDS = 10
"""Bands of a score with about equal numbers of loans, in which two sets of loans are compared."""


def psi(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the population stability index (PSI) of two count vectors over the same bins.

    Half a count is added to every bin because otherwise an empty bin would make the PSI infinite.
    Source: Siddiqi (2006), "Credit Risk Scorecards", chapter 9: sum of (a - e) ln(a / e), where a
    and e are the shares of a bin in the batch and in the baseline.

    Args:
        baseline_counts, batch_counts: row counts per bin, shape (bins,).

    >>> round(psi(np.array([50, 50]), np.array([50, 50])), 6)
    0.0
    """
    expected = (baseline_counts + 0.5) / (baseline_counts.sum() + 0.5 * len(baseline_counts))
    actual = (batch_counts + 0.5) / (batch_counts.sum() + 0.5 * len(batch_counts))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def psi_noise(bins: int, baseline_size: int, batch_size: int, quantile: float) -> float:
    """Return the value that the PSI stays below with probability `quantile` if nothing drifted.

    Without drift, PSI / (1/m + 1/n) has a chi-square distribution with bins - 1 degrees of
    freedom. Here m is `baseline_size` and n is `batch_size`. Source: Yurdakul, Naranjo (2020),
    "Statistical properties of the population stability index".
    """
    if bins < 2:
        return 0.0
    return float(chdtri(bins - 1, 1 - quantile)) * (1 / baseline_size + 1 / batch_size)


def psi_by_chance(cells: int, baseline_size: int, batch_size: int) -> float:
    """Return the mean of the PSI if nothing drifted, by which the PSI of small batches is too high.

    Source: as for `psi_noise`; the mean of a chi-square distribution is its degrees of freedom.

    >>> round(psi_by_chance(11, 70_000, 50), 3)
    0.2
    """
    return max(cells - 1, 0) * (1 / baseline_size + 1 / batch_size)


def score_psi(before: np.ndarray, now: np.ndarray) -> dict[str, Any]:
    """Return the PSI of a score between two sets of loans, ready for JSON.

    `psi` is corrected for the numbers of loans: `psi_by_chance` is taken off, and it is at least 0.
    `psi_uncorrected` is the PSI as it is. `bands` has the limits and the shares of loans of each
    band, which has a tenth of the loans of `before`.

    Args:
        before: scores of the loans that define the bands, shape (rows,).
        now: scores of the other loans, shape (other rows,).
    """
    edges = np.unique(np.quantile(before, np.arange(1, SCORE_BANDS) / SCORE_BANDS))
    counts = [
        np.bincount(np.searchsorted(edges, each, side="right"), minlength=len(edges) + 1)
        for each in (before, now)
    ]
    value, chance = psi(*counts), psi_by_chance(len(edges) + 1, len(before), len(now))
    limits = [None, *edges.tolist(), None]
    shares = [each / each.sum() for each in counts]
    return {
        "psi": max(value - chance, 0.0),
        "psi_uncorrected": value,
        "psi_by_chance": chance,
        "bands": [
            {
                "low": limits[band],
                "high": limits[band + 1],
                "before": float(shares[0][band]),
                "now": float(shares[1][band]),
            }
            for band in range(len(edges) + 1)
        ],
    }
