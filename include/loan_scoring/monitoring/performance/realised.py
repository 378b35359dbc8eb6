"""Measure a batch's performance from its outcomes: metrics, intervals, rates by decile."""

from collections.abc import Sequence

import numpy as np

from loan_scoring.statistics.intervals import Estimate, bootstrap, wilson
from loan_scoring.statistics.model_metrics import holdout_metrics

REALISED_METRICS = ("auc", "gini", "ks", "f1", "precision", "recall", "brier", "log_loss",
           "calibration_slope")  # fmt: skip
"""Metrics that the hold-out has too; the default rate comes in addition."""


def realised_metrics(
    y: np.ndarray, probability: np.ndarray, threshold: float, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return each metric that has a value, with its 95 % interval by the bootstrap over loans.

    The default rate has Wilson's interval. A metric without a value is left out, never zero: with
    one outcome only all but the default rate, without a declined loan precision.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: the scores, shape (rows,).
        threshold: for F1, precision and recall of default.
        resamples, seed: of the bootstrap.
    """
    rate = float(np.mean(y))
    found = {"default_rate": Estimate(rate, *wilson(rate * len(y), len(y)))}
    if not 0 < rate < 1:
        return found
    values = holdout_metrics(y, probability, threshold)
    if not (probability >= threshold).any():
        del values["precision"]
    spread = bootstrap(y, probability, threshold, resamples, seed)
    for name in REALISED_METRICS:
        if np.isfinite(values.get(name, np.nan)):
            low, high = spread.get(name, (None, None))
            found[name] = Estimate(values[name], low, high)
    return found


def default_rate_by_decile(
    y: np.ndarray, probability: np.ndarray, edges: Sequence[float]
) -> list[tuple[Estimate, int] | None]:
    """Return default rate, with Wilson's interval, and number of loans of each band of scores.

    The edges are the baseline's, not the batch's own: a decile is the same band of risk every
    night and can be compared with the hold-out's rate. A batch with more loans in the upper bands
    shows as drift of scores, not here.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        edges: inner edges, ascending; a score on an edge belongs to the band above it.

    Returns:
        One entry per band, from the lowest scores on; None for a band without loans.
    """
    places = np.searchsorted(np.asarray(edges, dtype=float), probability, side="right")
    counts = np.bincount(places, minlength=len(edges) + 1)
    sums = np.bincount(places, weights=y, minlength=len(edges) + 1)
    rates = [bad / rows if rows else None for bad, rows in zip(sums, counts, strict=True)]
    return [
        None if rate is None else (Estimate(float(rate), *wilson(float(rate) * rows, rows)), rows)
        for rate, rows in zip(rates, counts.tolist(), strict=True)
    ]
