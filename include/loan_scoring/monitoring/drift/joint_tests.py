"""Drift tests of all inputs together, as pure functions of matrices.

The domain classifier measures how well trees separate the batch from the baseline. The PCA
reconstruction error measures how far rows lie from the plane that the baseline's rows lie near.
Both see a changed correlation, which no test of one column sees.
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
EXPLAINED = 0.65
"""Share of the variance that the plane holds, as in NannyML's reconstruction error."""


@dataclass(frozen=True)
class Separation:
    """How well trees separate the batch from the baseline, and by which columns."""

    auc: float
    z: float
    p_value: float
    gains: np.ndarray
    """Each column's share of the gain of all splits, shape (columns,)."""


def domain_classifier(baseline: np.ndarray, batch: np.ndarray) -> Separation:
    """Return how well trees fitted on one half of both sides separate the other half.

    Each half is predicted by trees that were fitted on the other one.

    Args:
        baseline, batch: rows in random order, nan for null, shapes (m, columns), (n, columns).

    Without drift, and given the trees, the labels of the held-out rows are random: the z of each
    half is standard normal. The two are correlated (a chance pattern of both halves shows in
    both), so their mean is compared with a variance of one, which is conservative for any
    correlation. Source: Lopez-Paz, Oquab (2017), "Revisiting classifier two-sample tests", with
    the AUC in place of the accuracy.
    """
    aucs, scores = [], []
    gains = np.zeros(baseline.shape[1])
    for fold in range(FOLDS):
        held_baseline, held_batch = (
            np.arange(len(side)) % FOLDS == fold for side in (baseline, batch)
        )
        predict, gained = _fit(baseline[~held_baseline], batch[~held_batch])
        auc, z = auc_against_chance(predict(baseline[held_baseline]), predict(batch[held_batch]))
        aucs.append(auc)
        scores.append(z)
        gains += gained
    z = float(np.mean(scores))
    return Separation(float(np.mean(aucs)), z, float(ndtr(-z)), gains / (gains.sum() or 1.0))


def _fit(baseline: np.ndarray, batch: np.ndarray):  # type: ignore[no-untyped-def]
    """Return a function that scores rows (higher: more like the batch), and each column's gain."""
    import xgboost

    rows = np.concatenate([baseline, batch])
    is_batch = np.repeat([0.0, 1.0], [len(baseline), len(batch)])
    matrix = xgboost.QuantileDMatrix(rows, is_batch, max_bin=PARAMETERS["max_bin"], nthread=1)
    trees = xgboost.train(PARAMETERS, matrix, ROUNDS)
    gains = np.zeros(rows.shape[1])
    for name, gain in trees.get_score(importance_type="total_gain").items():
        gains[int(name.removeprefix("f"))] = gain
    return trees.inplace_predict, gains


@dataclass(frozen=True)
class PrincipalPlane:
    """The mean of the baseline's rows and the axes of their largest variance."""

    mean: np.ndarray
    """Shape (width,)."""
    axes: np.ndarray
    """Orthonormal, shape (width, components)."""

    @classmethod
    def fit(cls, rows: np.ndarray, explained: float = EXPLAINED) -> "PrincipalPlane":
        """Return the fewest axes that hold the share `explained` of the variance of rows.

        `rows` are standardised, shape (n, width), no nan.
        Source: Jolliffe (2002), "Principal component analysis", 2nd edition, 6.1.1.
        """
        mean = rows.mean(axis=0)
        centred = rows - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(rows))
        held = np.cumsum(variances[::-1])
        components = int(np.searchsorted(held, explained * held[-1])) + 1
        return cls(mean, axes[:, ::-1][:, :components])

    def errors(self, rows: np.ndarray) -> np.ndarray:
        """Return each row's Euclidean distance from the plane, shape (n,)."""
        centred = rows - self.mean
        along = centred @ self.axes
        squares = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def reconstruction_error(baseline: np.ndarray, batch: np.ndarray) -> tuple[float, float, float]:
    """Return the z of the difference of mean errors, its two-sided p-value, and the effect.

    A batch whose correlations are broken lies further from the plane; one with less variation
    than the baseline lies nearer.

    Args:
        baseline, batch: errors of rows that the plane was not fitted on, shapes (m,) and (n,).

    The variance is pooled, as both sides are equal without drift; z is the t statistic of
    scipy.stats.ttest_ind. The effect is the difference in standard deviations of the baseline's
    errors. Source: Cohen (1988), "Statistical power analysis", 2.2.
    """
    m, n = len(baseline), len(batch)
    difference = float(batch.mean() - baseline.mean())
    pooled = float(baseline.var() * m + batch.var() * n) / (m + n - 2)
    spread = float(baseline.std())
    if pooled == 0 or spread == 0:
        return 0.0, 1.0, 0.0
    z = difference / (pooled * (1 / m + 1 / n)) ** 0.5
    return z, float(2 * ndtr(-abs(z))), abs(difference) / spread
