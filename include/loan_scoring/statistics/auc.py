"""How far an AUC is known: its standard error without a distribution being assumed."""

import numpy as np
from scipy.stats import rankdata


def delong(y: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return the AUC and its standard error, ties counted as half.

    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44, 837-845, by the midranks of Sun, Xu
    (2014), IEEE Signal Processing Letters 21, 1389-1393: a loan's rank among all less that among
    its own kind is how many of the other kind it outranks.

    Args:
        y: outcomes, 1 for default, at least two of each, shape (rows,).
        scores: shape (rows,).

    >>> auc, error = delong(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    >>> auc, round(error, 4)
    (0.75, 0.3536)
    """
    is_default = np.asarray(y) == 1
    bad, good = scores[is_default], scores[~is_default]
    ranks = rankdata(scores)
    of_bad = (ranks[is_default] - rankdata(bad)) / len(good)
    of_good = 1 - (ranks[~is_default] - rankdata(good)) / len(bad)
    variance = np.var(of_bad, ddof=1) / len(bad) + np.var(of_good, ddof=1) / len(good)
    return float(of_bad.mean()), float(np.sqrt(variance))
