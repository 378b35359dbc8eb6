"""What a batch's performance was, once outcomes are in: metrics, intervals, rates by decile."""

from collections.abc import Sequence

import numpy as np

from loan_scoring.statistics.intervals import Estimate, bootstrap, wilson
from loan_scoring.statistics.model_metrics import holdout_metrics

REALISED_METRICS = ("auc", "gini", "ks", "f1", "precision", "recall", "brier", "log_loss",
           "calibration_slope")  # fmt: skip
"""What the hold-out is measured by too; the default rate stands beside them."""


def realised_metrics(
    y: np.ndarray, probability: np.ndarray, threshold: float, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return each metric that has a value, with its 95 % interval by the bootstrap over loans.

    The default rate has Wilson's interval. With one outcome only there is no ranking to measure,
    and without a declined loan no precision: what has no value is left out, never zero.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: the scores, shape (rows,).
        threshold: from which F1, precision and recall of default are taken.
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
    """Return the rate of defaults between each two edges with Wilson's interval, and the loans.

    The edges are those of the baseline, not the batch's own: a decile is then the same band of
    risk every night and holds against the hold-out's rate there. That a batch has more loans in
    the upper bands is no fault of the model; it is seen by the drift of scores.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        edges: inner edges, ascending; a score on an edge belongs to the band above it.

    Returns:
        From the lowest scores on; None for a band without a loan.
    """
    places = np.searchsorted(np.asarray(edges, dtype=float), probability, side="right")
    counts = np.bincount(places, minlength=len(edges) + 1)
    sums = np.bincount(places, weights=y, minlength=len(edges) + 1)
    rates = [bad / rows if rows else None for bad, rows in zip(sums, counts, strict=True)]
    return [
        None if rate is None else (Estimate(float(rate), *wilson(float(rate) * rows, rows)), rows)
        for rate, rows in zip(rates, counts.tolist(), strict=True)
    ]
