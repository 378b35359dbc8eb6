"""Fit a small decision tree beside the model: a benchmark to read, and a test for leaks.

Columns that look harmless alone may give the outcome away together. Then the tree has pure leaves,
in which nearly all loans have the same outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.tree import DecisionTreeClassifier

from loan_scoring.contract import KEY, Contract
from loan_scoring.models.encoding import feature_frame
from loan_scoring.models.holdout import split_holdout
from loan_scoring.models.scorer import exclusion_reasons

DEPTH = 5
RARE = "(rare)"
"""The group of rare levels and of levels that the fit has not seen."""
MOST_LOANS = 200_000
"""The tree is fitted to at most so many loans of the training set, drawn at random."""


@dataclass(frozen=True)
class Branch:
    """A condition on a column: `column` is in `levels`, or at most or above `limit`, or null.

    `levels` has None for null, and RARE for the group of rare levels. Of a number, `levels` is
    None, and `is_above` says which side of `limit`. `limit` is None if the branch only tells known
    values from nulls. `with_null` is True if nulls belong to the branch.
    """

    column: str
    levels: list[str | None] | None
    limit: float | None
    is_above: bool
    with_null: bool


@dataclass(frozen=True)
class Node:
    """A node of the tree with its loans of the training set.

    `parent` is the index of the parent, None of the root, and `branch` the condition that leads
    from the parent to the node. `is_leaf` is True if the node has no children.
    """

    parent: int | None
    branch: Branch | None
    loans: int
    defaults: int
    is_leaf: bool

    @property
    def rate(self) -> float:
        """The share of the loans that defaulted."""
        return self.defaults / self.loans


class BenchmarkTree:
    """A decision tree of depth 5 on numbers and on levels in the order of their default rates.

    For two outcomes this order lets a split find the best group of levels (Breiman et al. 1984,
    9.4). A null in a category is a level, and a null in a number goes to either side of a split.
    Levels of too few loans for a leaf, and levels that the fit has not seen, are one group: their
    rates are noise, and an order by noise makes leaves that look pure and are not.
    """

    def __init__(self, contract: Contract, X: pd.DataFrame, y: np.ndarray) -> None:
        """Fit the tree.

        Args:
            contract: contract with the types of the columns, the seed and the smallest leaf.
            X: training set, as `feature_frame` returns it.
            y: outcomes, 1 for default, shape (rows,).
        """
        seed = contract.training.seed
        if len(y) > MOST_LOANS:
            drawn = np.random.default_rng(seed).permutation(len(y))[:MOST_LOANS]
            X, y = X.iloc[drawn], y[drawn]
        self._rare: set[str] = set()
        self._nulls = {name for name in X.columns if X[name].isna().any()}
        fewest = min(contract.training.leaks.min_level_loans, max(len(y) // 20, 1))
        self._levels: dict[str, dict[str | None, int]] = {}
        for name in X.columns:
            if not contract.by_name[name].is_numeric_feature:
                if (X[name].value_counts() < fewest).any():
                    self._rare.add(name)
                self._levels[name] = _ordered_levels(X[name], y, fewest)
        self._tree = DecisionTreeClassifier(
            max_depth=DEPTH,
            min_samples_leaf=fewest,
            random_state=seed,
        )
        self._tree.fit(self._encoded(X), y)
        self.nodes = self._read(list(X.columns))

    def _encoded(self, X: pd.DataFrame) -> np.ndarray:
        columns = []
        for name in X.columns:
            values = X[name]
            if name in self._levels:
                place = self._levels[name]
                other = place[RARE]
                values = values.map(place).where(values.notna(), place.get(None, other))
                values = values.fillna(other)
            columns.append(values.to_numpy(np.float32))
        return np.column_stack(columns)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probability of default of each row, shape (rows,)."""
        return np.asarray(self._tree.predict_proba(self._encoded(X))[:, 1])

    def leaf_counts(self, X: pd.DataFrame, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of loans and of defaults in each node that is a leaf, shape (nodes,).

        Args:
            X: loans, as `feature_frame` returns them.
            y: their outcomes, 1 for default, shape (rows,).
        """
        leaves = self._tree.apply(self._encoded(X))
        size = len(self.nodes)
        return np.bincount(leaves, minlength=size), np.bincount(leaves, y, minlength=size)

    def _read(self, names: list[str]) -> list[Node]:
        tree = self._tree.tree_
        counts = np.rint(tree.value[:, 0, 1] * tree.n_node_samples).astype(int)
        found = {}
        for node in range(tree.node_count):
            is_leaf = bool(tree.children_left[node] < 0)
            found[node] = Node(
                None, None, int(tree.n_node_samples[node]), int(counts[node]), is_leaf
            )
        for parent in np.flatnonzero(tree.children_left >= 0):
            name, limit = names[tree.feature[parent]], float(tree.threshold[parent])
            for is_above, children in ((False, tree.children_left), (True, tree.children_right)):
                with_null = bool(tree.missing_go_to_left[parent]) != is_above
                branch = self._branch(name, limit, is_above, with_null)
                child = int(children[parent])
                found[child] = replace(found[child], parent=int(parent), branch=branch)
        return [found[node] for node in range(tree.node_count)]

    def _branch(self, name: str, limit: float, is_above: bool, with_null: bool) -> Branch:
        if name not in self._levels:
            # The side of a null has no meaning if the fit has seen none.
            with_null = with_null and name in self._nulls
            return Branch(name, None, limit if np.isfinite(limit) else None, is_above, with_null)
        levels = [
            level
            for level, place in self._levels[name].items()
            if (place > limit) == is_above and (level != RARE or name in self._rare)
        ]
        return Branch(name, levels, None, is_above, None in levels)

    def path(self, node: int) -> list[int]:
        """Return the indices of the nodes from below the root to a node."""
        found: list[int] = []
        parent = self.nodes[node].parent
        while parent is not None:
            found.insert(0, node)
            node, parent = parent, self.nodes[parent].parent
        return found


def _ordered_levels(values: pd.Series, y: np.ndarray, fewest: int) -> dict[str | None, int]:
    """Return the place of each level in the order of default rates. RARE has one too.

    Args:
        values: levels, nan for null, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        fewest: levels of fewer loans belong to RARE. Null does not.
    """
    counts = values.value_counts()
    common = values.isin(counts.index[counts >= fewest])
    known = values.where(common | values.isna(), RARE).astype(object)
    rates = pd.Series(y).groupby(known.to_numpy(), dropna=False).mean()
    found: dict[str | None, float] = {RARE: float(np.mean(y))}  # if the fit has no rare level
    found |= {(key if isinstance(key, str) else None): rate for key, rate in rates.items()}
    order = sorted(found, key=lambda level: (found[level], level or ""))
    return {level: place for place, level in enumerate(order)}


def fit_benchmark(
    contract: Contract, table: pa.Table, features: Sequence[str]
) -> tuple[BenchmarkTree, pd.DataFrame, np.ndarray] | None:
    """Return the tree of the loans that a model learns from, with features and outcomes of others.

    The others are the loans of the hold-out, which show whether what a leaf seems to be is true of
    loans that the tree has not seen. None is returned if one of the outcomes does not occur.

    Args:
        contract: contract with hold-out, exclusions and the limits of the tree.
        table: labelled applications with the features, the columns of exclusions and `is_default`.
        features: names of the columns that the tree may read.
    """
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    y = table.column("is_default").to_numpy().astype(int)
    learn, test = (part[judged[part]] for part in split_holdout(contract, table.column(KEY)))
    if len(np.unique(y[learn])) < 2:
        return None
    X = feature_frame(table, contract, features)
    return BenchmarkTree(contract, X.iloc[learn], y[learn]), X.iloc[test], y[test]
