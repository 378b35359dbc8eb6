"""Domain classifier: how well a classifier tells the batch from the baseline, all inputs together.

Where no column has moved and columns hang together otherwise than before, no test of one column
sees it; a classifier does. Each row is judged by trees that never saw it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from loan_scoring.statistics.auc import auc_against_chance

FOLDS = 2
PARAMETERS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_bin": 64,
    "max_depth": 4,
    "min_child_weight": 5,
    "eta": 0.3,
    "nthread": 1,
    "verbosity": 0,
}
ROUNDS = 20


@dataclass(frozen=True)
class Separation:
    """How well the two sides were told apart, and by which columns."""

    auc: float
    z: float
    p_value: float
    gains: np.ndarray
    """Share of each column in what the trees gained by their splits, shape (columns,)."""


def domain_classifier(baseline: np.ndarray, batch: np.ndarray) -> Separation:
    """Fit trees on one half of both sides, judge the other half, and the other way round.

    Args:
        baseline, batch: rows in random order, nan for null, shapes (m, columns), (n, columns).

    Without drift, and given the trees, the held-out labels are dealt out at random: each half's
    z is standard normal. The two hang together (a chance pattern of one half that the other has
    too shows in both), so that their mean is held against the variance of one: conservative
    however they hang together. Source: Lopez-Paz, Oquab (2017), "Revisiting classifier two-sample
    tests", with the AUC in the place of the accuracy.
    """
    aucs, scores = [], []
    gains = np.zeros(baseline.shape[1])
    for fold in range(FOLDS):
        of_baseline, of_batch = (np.arange(len(side)) % FOLDS == fold for side in (baseline, batch))
        told, gained = _fit(baseline[~of_baseline], batch[~of_batch])
        auc, z = auc_against_chance(told(baseline[of_baseline]), told(batch[of_batch]))
        aucs.append(auc)
        scores.append(z)
        gains += gained
    z = float(np.mean(scores))
    return Separation(float(np.mean(aucs)), z, float(ndtr(-z)), gains / (gains.sum() or 1.0))


def _fit(baseline: np.ndarray, batch: np.ndarray):  # type: ignore[no-untyped-def]
    """Return what scores rows, higher the more they look like the batch's, and the gains."""
    import xgboost

    rows = np.concatenate([baseline, batch])
    is_batch = np.repeat([0.0, 1.0], [len(baseline), len(batch)])
    matrix = xgboost.QuantileDMatrix(rows, is_batch, max_bin=PARAMETERS["max_bin"], nthread=1)
    trees = xgboost.train(PARAMETERS, matrix, ROUNDS)
    gains = np.zeros(rows.shape[1])
    for name, gain in trees.get_score(importance_type="total_gain").items():
        gains[int(name.removeprefix("f"))] = gain
    return trees.inplace_predict, gains
