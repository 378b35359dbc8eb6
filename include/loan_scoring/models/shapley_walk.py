"""Compute exact Shapley values of one tree by a walk down and up the tree, for any number of rows.

It needs no tables. So it serves single loans, and trees whose tables would be too large.
"""

from functools import cache

import numpy as np
from scipy import sparse

from loan_scoring.models.trees import Tree

ROWS_AT_ONCE = 2048
NUMBERS_AT_ONCE = 2**16
"""Rows are walked in parts, so that an array of nodes, rows and points fits into a core's cache."""


@cache
def quadrature(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points and weights of the Gauss-Legendre quadrature from 0 to 1."""
    at, weights = np.polynomial.legendre.leggauss(points)
    return (at + 1) / 2, weights / 2


def add_by_walk(tree: Tree, bins: np.ndarray, added: np.ndarray) -> None:
    """Add the Shapley values of one tree to `added`.

    The values are the integrals that `shapley_values` describes, summed over the leaves. The walk
    down multiplies the factors of each path, the walk up adds the leaves below each node. At the
    end of a split on a feature that an earlier split on the path had too, its new factor takes the
    place of the earlier one. This is the order of work of Linear TreeSHAP (Yu et al. 2022, NeurIPS
    35), with quadrature points instead of coefficients.

    Args:
        tree: the tree.
        bins: bin of each value, shape (rows, columns).
        added: values to which the tree's values are added, shape (columns, rows).
    """
    walk = _Walk(tree)
    step = max(1, NUMBERS_AT_ONCE // (len(tree.left) * len(walk.points)))
    for start in range(0, len(bins), ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, len(bins))
        met = walk.met(bins[start:end])
        for first in range(0, end - start, step):
            part = slice(first, first + step)
            added[:, start:end][:, part] += walk.values(met[:, part])


class _Walk:
    """The nodes of a tree by depth, with what does not depend on the rows."""

    def __init__(self, tree: Tree) -> None:
        nodes = len(tree.left)
        self._tree = tree
        self._parent = np.zeros(nodes, np.intp)
        self._feature = np.zeros(nodes, np.intp)
        # The share of loans that meet all conditions on the feature of the split above, and the
        # earlier node below a split on this feature. Node 0 stands for none: it has no split above.
        self._share = np.ones(nodes)
        self._earlier = np.zeros(nodes, np.intp)
        self._levels = [np.zeros(1, np.intp)]
        above: list[dict[int, int]] = [{}]
        widest = 0
        while len(parents := self._levels[-1][tree.left[self._levels[-1]] >= 0]):
            self._levels.append(np.concatenate([tree.left[parents], tree.right[parents]]))
            self._parent[self._levels[-1]] = np.tile(parents, 2)
            last_of = dict(zip(self._levels[-2].tolist(), above, strict=True))
            above = []
            for node in self._levels[-1].tolist():
                parent = int(self._parent[node])
                feature = int(tree.feature[parent])
                last = last_of[parent]
                earlier = last.get(feature, 0)
                of_both = tree.count[tree.left[parent]] + tree.count[tree.right[parent]]
                self._feature[node], self._earlier[node] = feature, earlier
                self._share[node] = self._share[earlier] * tree.count[node] / of_both
                above.append(last | {feature: node})
                widest = max(widest, len(above[-1]))
        self._leaf_values = np.where(tree.left < 0, tree.value, 0.0)
        self._columns_of_nodes = sparse.csr_matrix(
            (np.ones(nodes), (self._feature, np.arange(nodes))), (len(tree.bins), nodes)
        )
        self.points, self._weights = quadrature(max(1, (widest + 1) // 2))

    def met(self, bins: np.ndarray) -> np.ndarray:
        """Return whether each row meets all conditions of a node's feature, shape (nodes, rows)."""
        tree = self._tree
        met = np.ones((len(tree.left), len(bins)), bool)
        for node in np.flatnonzero(tree.left >= 0):
            met[tree.left[node]] = tree.goes_left(int(node)).take(bins[:, tree.feature[node]])
            met[tree.right[node]] = ~met[tree.left[node]]
        for level in self._levels[1:]:
            met[level] &= met[self._earlier[level]]
        return met

    def values(self, met: np.ndarray) -> np.ndarray:
        """Return the Shapley values of a few rows, shape (columns, rows)."""
        step = (met - self._share[:, None])[:, :, None]
        factor = np.maximum(self._share[:, None, None] + step * self.points, 1e-300)
        below = np.ones(factor.shape)  # node 0 has the factor 1
        ratio = factor / factor[self._earlier]
        for level in self._levels[1:]:
            below[level] = below[self._parent[level]] * ratio[level]
        below *= self._leaf_values[:, None, None]
        for level in self._levels[:0:-1]:
            half = len(level) // 2  # all left children, then all right children
            below[self._parent[level[:half]]] = below[level[:half]] + below[level[half:]]
        slope = step / factor
        of_node = ((slope - slope[self._earlier]) * below) @ self._weights
        return np.asarray(self._columns_of_nodes @ of_node)
