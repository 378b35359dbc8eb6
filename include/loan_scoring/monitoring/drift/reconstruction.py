"""PCA reconstruction error: how far rows lie from the plane that the baseline's rows lie near.

Columns that hang together span few directions. A batch in which they no longer do lies further
off, one that is poorer than the baseline nearer.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

EXPLAINED = 0.65
"""Share of the variance that the plane holds, as in NannyML's reconstruction error."""


@dataclass(frozen=True)
class PrincipalPlane:
    """The baseline's mean row and the axes along which its rows lie furthest apart."""

    mean: np.ndarray
    """Shape (width,)."""
    axes: np.ndarray
    """Orthonormal, shape (width, components)."""

    @classmethod
    def fit(cls, rows: np.ndarray, explained: float = EXPLAINED) -> "PrincipalPlane":
        """Take the fewest axes that hold the share `explained` of the variance of rows.

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

    Args:
        baseline, batch: errors of rows that the plane was not fitted on, shapes (m,) and (n,).

    The variance is pooled, as both sides are alike without drift; the z is the t statistic of
    scipy.stats.ttest_ind. The effect is the difference in the baseline's standard deviations of
    an error. Source: Cohen (1988), "Statistical power analysis", 2.2.
    """
    m, n = len(baseline), len(batch)
    difference = float(batch.mean() - baseline.mean())
    pooled = float(baseline.var() * m + batch.var() * n) / (m + n - 2)
    spread = float(baseline.std())
    if pooled == 0 or spread == 0:
        return 0.0, 1.0, 0.0
    z = difference / (pooled * (1 / m + 1 / n)) ** 0.5
    return z, float(2 * ndtr(-abs(z))), abs(difference) / spread
