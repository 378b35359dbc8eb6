"""Measure a batch's performance from its outcomes: metrics and default rates by decile."""

from collections.abc import Sequence

import numpy as np

from loan_scoring.statistics.intervals import Estimate, bootstrap, wilson
from loan_scoring.statistics.model_metrics import holdout_metrics

REALISED_METRICS = ("auc", "gini", "ks", "f1", "precision", "recall", "brier", "log_loss",
           "calibration_slope")  # fmt: skip
"""The realised metrics besides the default rate. These metrics also exist for the hold-out."""


def realised_metrics(
    y: np.ndarray, probability: np.ndarray, threshold: float, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return the metrics of a batch's outcomes, each with its 95 % interval.

    The default rate has Wilson's interval. The other metrics have bootstrap intervals over the
    loans. A metric without a value is left out. If all loans have the same outcome, only the
    default rate has a value. If no loan is predicted to default, precision has no value.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        threshold: probability from which a loan counts as predicted default, for F1, precision
            and recall.
        resamples: number of bootstrap resamples.
        seed: random seed for drawing resamples.
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
    """Return the default rate, with Wilson's interval, and the loan count of each decile.

    The edges of the deciles come from the baseline, not from the batch. A decile is therefore the
    same range of probabilities every night, and its default rate can be compared with the
    hold-out's. If a batch has more loans in the upper deciles than the baseline, the drift tests
    of the probability show that, and the default rates here do not.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        edges: inner edges of the deciles, ascending. A probability equal to an edge belongs to the
            decile above the edge.

    Returns:
        One entry per decile, the lowest probabilities first. The entry of a decile without loans
        is None.
    """
    places = np.searchsorted(np.asarray(edges, dtype=float), probability, side="right")
    counts = np.bincount(places, minlength=len(edges) + 1)
    sums = np.bincount(places, weights=y, minlength=len(edges) + 1)
    rates = [bad / rows if rows else None for bad, rows in zip(sums, counts, strict=True)]
    return [
        None if rate is None else (Estimate(float(rate), *wilson(float(rate) * rows, rows)), rows)
        for rate, rows in zip(rates, counts.tolist(), strict=True)
    ]
