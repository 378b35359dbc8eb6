"""Compute exact Shapley values of trees, from tables that are made once for a model.

The game is that of path-dependent TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2,
56-67). The worth of a set of features is the expected output of the tree if only these features
are known. At a split on an unknown feature, both branches are followed, each with the share of the
training loans that took it.

A leaf's part of this worth is its value times one factor per feature on its path: 1 or 0 for a
known feature, which meets or fails all conditions of the path, and a share of loans for an unknown
feature. So the Shapley values of a leaf depend only on which features meet their conditions. They
are computed once per combination, and rows look them up. Leaves side by side share a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from loan_scoring.models.shapley_walk import add_by_walk, quadrature
from loan_scoring.models.trees import Tree

CELLS = 4096
"""Leaves share a table while the table has at most so many cells.

A table of one row per feature then fits into the cache of a core.
"""
TABLE_BYTES = 256 * 2**20
"""Tables of at most so many bytes are kept. Trees beyond are computed anew for each call."""
MOST_COMBINATIONS = 2**17
"""A tree whose leaves have more combinations of met conditions, in all, has no tables."""
ROWS_AT_ONCE = 8192
FEW_ROWS = 16
"""For so few rows, no tables are made: a walk through the trees takes less time."""


@dataclass(frozen=True)
class Leaf:
    """A leaf: its value, and the conditions on its path by feature.

    A condition is the bins of the feature that reach the leaf, shape (bins,), and the share of the
    training loans that meet it where the path asks for it.
    """

    value: float
    conditions: dict[int, tuple[np.ndarray, float]]


@dataclass(frozen=True)
class Table:
    """The Shapley values of a group of leaves, summed, for each cell of their features.

    A cell is a combination of codes, one for each feature. Bins of a feature that meet the same
    conditions have one code.
    """

    features: list[int]
    offsets: list[np.ndarray]
    """For each feature, what each of its bins adds to the index of the cell, shape (bins,)."""
    values: np.ndarray
    """Shape (features, cells)."""


class ShapleyValues:
    """Compute the Shapley values of a sum of trees, for rows that are given as bins."""

    def __init__(self, trees: list[Tree], columns: int) -> None:
        """Take the trees, and the number of columns that they may split on."""
        self._trees = trees
        self._columns = columns

    def by_column(self, bins: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sum of the roots' means, and the Shapley value of each column of each row.

        The sum of the means and of a row's values is the sum of the leaves that the row reaches.

        Args:
            bins: bin of each value, as `Tree.goes_left` counts bins, shape (rows, columns).

        Returns:
            the sum of the means, and the values, shape (rows, columns).
        """
        added = np.zeros((self._columns, len(bins)))
        mean = sum(tree.mean for tree in self._trees)
        if len(bins) <= FEW_ROWS:
            for tree in self._trees:
                add_by_walk(tree, bins, added)
            return mean, added.T
        for first in range(0, len(bins), ROWS_AT_ONCE):
            part = np.ascontiguousarray(bins[first : first + ROWS_AT_ONCE].T, dtype=np.intp)
            of_part = added[:, first : first + ROWS_AT_ONCE]
            for table in self._kept[0]:
                _look_up(table, part, of_part)
        for tree in self._kept[1]:
            add_by_walk(tree, bins, added)
        return mean, added.T

    @cached_property
    def _kept(self) -> tuple[list[Table], list[Tree]]:
        """The tables that are kept, and the trees that are too large for tables."""
        tables: list[Table] = []
        others: list[Tree] = []
        left = TABLE_BYTES
        for place, tree in enumerate(self._trees):
            if sum(2 ** len(leaf.conditions) for leaf in _leaves(tree)) > MOST_COMBINATIONS:
                others.append(tree)
                continue
            of_tree = [_table(group) for group in _groups(tree)]
            left -= sum(table.values.nbytes for table in of_tree)
            if left < 0:
                return tables, others + self._trees[place:]
            tables += of_tree
        return tables, others


def shapley_values(meets: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the Shapley values of the product game of one leaf with value 1.

    The worth of a set of features is the product of `meets` of its features and `shares` of the
    others. The Shapley value of feature i is (m_i - s_i) times the integral from 0 to 1 over t of
    the product of s_j + t (m_j - s_j) over all other features (Owen 1972, Management Science 18,
    64-79). The integrand is a polynomial, so Gauss-Legendre quadrature is exact.

    Args:
        meets: whether each feature meets its conditions, shape (combinations, features).
        shares: share of the loans that meet each feature's conditions, shape (features,).

    Returns:
        the values, shape (combinations, features).
    """
    points, weights = quadrature((len(shares) + 1) // 2)
    step = meets - shares
    factors = [np.maximum(s + step[:, i, None] * points, 1e-300) for i, s in enumerate(shares)]
    whole = np.ones((len(meets), len(points)))
    for factor in factors:
        whole *= factor
    return np.asarray(step * np.column_stack([(whole / factor) @ weights for factor in factors]))


def _leaves(tree: Tree) -> Iterator[Leaf]:
    """Return the leaves of a tree from left to right."""
    waiting: list[tuple[int, dict[int, tuple[np.ndarray, float]]]] = [(0, {})]
    while waiting:
        node, conditions = waiting.pop()
        if tree.left[node] < 0:
            yield Leaf(float(tree.value[node]), conditions)
            continue
        feature, goes_left = int(tree.feature[node]), tree.goes_left(node)
        met, share = conditions.get(feature, (np.ones(len(goes_left), bool), 1.0))
        left, right = int(tree.left[node]), int(tree.right[node])
        of_left = tree.count[left] / (tree.count[left] + tree.count[right])
        for child, way, part in ((right, ~goes_left, 1 - of_left), (left, goes_left, of_left)):
            waiting.append((child, conditions | {feature: (met & way, share * part)}))


def _groups(tree: Tree) -> Iterator[tuple[list[Leaf], dict[int, np.ndarray]]]:
    """Return groups of neighbouring leaves, and the code of each bin by feature.

    A group of several leaves has at most CELLS cells.
    """
    group: list[Leaf] = []
    codes: dict[int, np.ndarray] = {}
    for leaf in _leaves(tree):
        if not leaf.conditions:  # the only leaf of a tree without a split
            return
        wider = dict(codes)
        for feature, (met, _) in leaf.conditions.items():
            pairs = 2 * codes[feature] + met if feature in codes else met
            wider[feature] = _ranked(pairs)
        if group and np.prod([float(code.max() + 1) for code in wider.values()]) > CELLS:
            yield group, codes
            group = []
            wider = {feature: _ranked(met) for feature, (met, _) in leaf.conditions.items()}
        codes = wider
        group.append(leaf)
    yield group, codes


def _ranked(values: np.ndarray) -> np.ndarray:
    """Return for each of some small integers its rank among the distinct ones, from 0."""
    occurs = np.zeros(int(values.max()) + 1, bool)
    occurs[values.astype(np.intp)] = True
    return (np.cumsum(occurs) - 1)[values.astype(np.intp)]


def _table(group: tuple[list[Leaf], dict[int, np.ndarray]]) -> Table:
    leaves, codes = group
    features = list(codes)
    bin_of_code = []
    for feature in features:
        bin_of_code.append(np.empty(codes[feature].max() + 1, np.intp))
        bin_of_code[-1][codes[feature]] = np.arange(len(codes[feature]))
    sizes = [len(each) for each in bin_of_code]
    values = np.zeros((len(features), *sizes))
    for leaf in leaves:
        own = [features.index(feature) for feature in leaf.conditions]
        masks: np.ndarray = np.zeros([1] * len(features), np.intp)
        for bit, (axis, (met, _)) in enumerate(zip(own, leaf.conditions.values(), strict=True)):
            shape = [-1 if each == axis else 1 for each in range(len(features))]
            masks = masks + (met[bin_of_code[axis]].astype(np.intp) << bit).reshape(shape)
        found = leaf.value * shapley_values(_all_bits(len(own)), _shares(leaf))
        for bit, axis in enumerate(own):
            values[axis] += found[:, bit].take(masks)
    strides = [int(np.prod(sizes[place + 1 :])) for place in range(len(sizes))]
    offsets = [codes[feature] * stride for feature, stride in zip(features, strides, strict=True)]
    return Table(features, offsets, values.reshape(len(features), -1))


def _look_up(table: Table, bins: np.ndarray, added: np.ndarray) -> None:
    """Add the values of a table to `added`. Both arrays have the shape (columns, rows)."""
    cells = np.zeros(bins.shape[1], np.intp)
    for feature, offsets in zip(table.features, table.offsets, strict=True):
        cells += offsets.take(bins[feature], mode="clip")
    for feature, values in zip(table.features, table.values, strict=True):
        added[feature] += values.take(cells, mode="clip")


def _bits(masks: np.ndarray, bits: int) -> np.ndarray:
    return (masks[:, None] >> np.arange(bits)) & 1


@cache
def _all_bits(bits: int) -> np.ndarray:
    return _bits(np.arange(2**bits), bits)


def _shares(leaf: Leaf) -> np.ndarray:
    return np.array([share for _, share in leaf.conditions.values()])
