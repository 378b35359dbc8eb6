"""Decision trees of any library as arrays, and what their splits add on the way to each leaf."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Tree:
    """A decision tree: what it says at each node, how many loans it was learned on there.

    All shapes (nodes,). `left` and `right` are -1 at a leaf. The root is node 0, and a child
    comes after its parent.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    value: np.ndarray
    count: np.ndarray

    @cached_property
    def leaves(self) -> np.ndarray:
        """The leaves' nodes, in their order."""
        return np.flatnonzero(self.left < 0)

    def paths(self, features: int) -> tuple[float, np.ndarray]:
        """Return what the root says, and what each feature's splits add on the way to each leaf.

        An inner node says the mean of its leaves, weighted by their loans; a split on a feature
        adds the child's word less the parent's (Saabas 2014). Root and path sum to the leaf.

        Returns:
            the root's mean, and an array of shape (leaves, features).
        """
        mean, weight = self.value.astype(float).copy(), self.count.astype(float)
        for node in range(len(mean) - 1, -1, -1):
            left, right = self.left[node], self.right[node]
            if left >= 0:
                total = weight[left] + weight[right]
                mean[node] = (mean[left] * weight[left] + mean[right] * weight[right]) / total
        added = np.zeros((len(mean), features))
        for node in range(len(mean)):
            for child in (self.left[node], self.right[node]):
                if child >= 0:
                    added[child] = added[node]
                    added[child, self.feature[node]] += mean[child] - mean[node]
        return float(mean[0]), added[self.leaves]
