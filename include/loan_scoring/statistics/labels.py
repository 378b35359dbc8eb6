"""Hold one text for each loan, such as its persona, as a code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Labels:
    """One text for each row, as the index of the text in `names`.

    A million texts as Python objects would take 60 MB and more, and each comparison of them would
    take longer than a sum.
    """

    names: list[str]
    """The distinct texts. Some may have no row."""
    codes: np.ndarray
    """Index in `names` of each row's text, shape (rows,)."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Labels":
        """Return the labels of a sequence of texts."""
        names, codes = np.unique(np.asarray(texts, dtype=str), return_inverse=True)
        return cls([str(name) for name in names], codes)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def counts(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return the number of rows, or the sum of their weights, of each text that has rows."""
        rows = np.bincount(self.codes, minlength=len(self.names))
        sums = rows if weights is None else np.bincount(self.codes, weights, len(self.names))
        return {
            name: each.item()
            for name, each, count in zip(self.names, sums, rows, strict=True)
            if count
        }

    def mask(self, name: str) -> np.ndarray:
        """Return whether each row has this text, shape (rows,), bool."""
        return np.asarray(self.codes == self.names.index(name))

    def among(self, rows: np.ndarray) -> "Labels":
        """Return the labels of some rows, given as a mask or as indices."""
        return Labels(self.names, self.codes[rows])
