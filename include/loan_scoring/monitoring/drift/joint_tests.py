"""Test all inputs of a batch at once for drift, with pure functions of matrices.

The domain classifier measures how well boosted trees separate the batch from the baseline. The PCA
reconstruction error measures how far rows lie from a plane that lies close to the baseline's rows.
The classifier and the reconstruction error detect a changed correlation between columns, which no
test of a single column detects.
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
"""Share of the variance that the plane explains, as in NannyML's reconstruction error."""


@dataclass(frozen=True)
class Separation:
    """How well trees separate the batch from the baseline, and which columns the trees use.

    `p_value` is one-sided because only an AUC above 0.5 shows drift.
    """

    auc: float
    z: float
    p_value: float
    gains: np.ndarray
    """Share of each column in the gain of all splits, shape (columns,)."""


def domain_classifier(baseline: np.ndarray, batch: np.ndarray) -> Separation:
    """Measure how well boosted trees separate the rows of a batch from the rows of the baseline.

    Baseline and batch are each cut into two halves. Trees fitted on the first halves predict the
    second halves, and trees fitted on the second halves predict the first halves. The AUC and z in
    the result are the means over the two predictions.

    Without drift the labels `baseline` and `batch` of the held-out rows are random, given the
    trees. The z of each half is then standard normal. The z values of the two halves are
    correlated, because a chance pattern that is in both halves raises both values. The mean of the
    two z values is therefore tested as if its variance were one, which is conservative for any
    correlation.
    Source: Lopez-Paz, Oquab (2017), "Revisiting classifier two-sample tests", with the AUC in
    place of the accuracy.

    Args:
        baseline, batch: rows in random order, shapes (m, columns), (n, columns). A null is nan.
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
    """Fit trees that separate the batch from the baseline.

    Return a function that scores rows, and the gain of each column. A higher score means that a row
    looks more like the batch.
    """
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
    """A plane through the mean of the baseline's rows, along the axes on which rows vary most."""

    mean: np.ndarray
    """Mean of the standardised rows, shape (width,)."""
    axes: np.ndarray
    """Orthonormal axes, shape (width, components)."""

    @classmethod
    def fit(cls, rows: np.ndarray, explained: float = EXPLAINED) -> "PrincipalPlane":
        """Fit the plane with the fewest axes that explain the share `explained` of the variance.

        Source: Jolliffe (2002), "Principal component analysis", 2nd edition, 6.1.1.

        Args:
            rows: standardised rows, no nan, shape (n, width).
        """
        mean = rows.mean(axis=0)
        centred = rows - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(rows))
        held = np.cumsum(variances[::-1])
        components = int(np.searchsorted(held, explained * held[-1])) + 1
        return cls(mean, axes[:, ::-1][:, :components])

    def errors(self, rows: np.ndarray) -> np.ndarray:
        """Return the Euclidean distance of each row from the plane, shape (n,)."""
        centred = rows - self.mean
        along = centred @ self.axes
        squares = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def reconstruction_error(baseline: np.ndarray, batch: np.ndarray) -> tuple[float, float, float]:
    """Test whether the mean reconstruction error of the batch differs from the baseline's.

    Return z of the difference batch minus baseline, its two-sided p-value, and the effect. A batch
    with changed correlations lies further from the plane than the baseline, so z is positive. A
    batch with less variation lies nearer, so z is negative.

    The variance is pooled because batch and baseline have the same variance without drift. z is
    the t statistic of scipy.stats.ttest_ind. The effect is the absolute difference, divided by the
    standard deviation of the baseline's errors. Source: Cohen (1988), "Statistical power
    analysis", 2.2.

    Args:
        baseline, batch: errors of rows that the plane was not fitted on, shapes (m,) and (n,).
    """
    m, n = len(baseline), len(batch)
    difference = float(batch.mean() - baseline.mean())
    pooled = float(baseline.var() * m + batch.var() * n) / (m + n - 2)
    spread = float(baseline.std())
    if pooled == 0 or spread == 0:
        return 0.0, 1.0, 0.0
    z = difference / (pooled * (1 / m + 1 / n)) ** 0.5
    return z, float(2 * ndtr(-abs(z))), abs(difference) / spread
