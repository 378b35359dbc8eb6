"""Count the values of one raw column, and read them as numbers."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULL_WORDS = frozenset(
    ["na", "n/a", "#n/a", "#na", "nan", "null", "(null)", "<na>", "none", "nil", ".", "?", "-",
     "--", "missing", "not available", "#null!", "\\n", "unknown", "not applicable"]
)  # fmt: skip
"""Texts that may mean null, in lower case."""
SURE_NULLS = NULL_WORDS - {"none", "nil", "-", "--", "unknown", "missing", "not applicable"}
"""Those that are no level of a category either."""
PLAIN = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
WHOLE = r"^[+-]?[0-9]+(\.0*)?$"
PADDED = r"^0[0-9]+$"


@dataclass(frozen=True)
class Values:
    """The distinct texts of a column, trimmed and without the empty one, and their counts.

    `codes` has the place of each row's text in `texts`, or -1 for an empty text.
    """

    texts: pa.Array
    counts: np.ndarray
    codes: np.ndarray

    @property
    def rows(self) -> int:
        """The number of rows, empty ones included."""
        return len(self.codes)

    @cached_property
    def filled(self) -> int:
        """The number of rows that are not empty."""
        return int(self.counts.sum())

    @cached_property
    def by_count(self) -> list[tuple[str, int]]:
        """All texts with their counts, the most frequent first."""
        order = np.argsort(-self.counts, kind="stable")
        texts = self.texts.to_pylist()
        return [(texts[place], int(self.counts[place])) for place in order.tolist()]

    def match(self, pattern: str) -> np.ndarray:
        """Return which texts match a pattern, shape (texts,)."""
        found = pc.match_substring_regex(self.texts, pattern)
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)

    def among(self, texts: Collection[str]) -> np.ndarray:
        """Return which texts are among some others, shape (texts,)."""
        found = pc.is_in(self.texts, value_set=pa.array(sorted(texts), pa.string()))
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)

    def listed(self, mask: np.ndarray) -> list[str]:
        """Return the marked texts, the most frequent first."""
        places = np.flatnonzero(mask)
        order = places[np.argsort(-self.counts[places], kind="stable")]
        return list(self.texts.take(pa.array(order)).to_pylist())

    def null_words(self, words: Collection[str]) -> list[str]:
        """Return the texts that are some words in whatever letter case."""
        lower = Values(pc.utf8_lower(self.texts), self.counts, self.codes)
        return self.listed(lower.among(words))

    def share(self, mask: np.ndarray) -> float:
        """Return the share of the filled rows whose text is marked."""
        return float(self.counts[mask].sum()) / max(self.filled, 1)

    def without(self, texts: set[str]) -> "Values":
        """Return the values with some texts counted as empty."""
        if not texts:
            return self
        kept = ~self.among(texts)
        place = np.where(kept, np.cumsum(kept) - 1, -1)
        codes = np.where(self.codes >= 0, place[self.codes], -1) if len(place) else self.codes
        return Values(self.texts.filter(pa.array(kept)), self.counts[kept], codes)

    def numbers(self) -> np.ndarray:
        """Return the texts as numbers, nan for those that are none, shape (texts,)."""
        is_plain = pa.array(self.match(PLAIN))
        plain = pc.if_else(is_plain, self.texts, pa.scalar(None, pa.string()))
        plain = pc.utf8_ltrim(plain, "+")
        return np.asarray(plain.cast(pa.float64()).to_numpy(zero_copy_only=False))


def count_values(column: pa.Array) -> Values:
    """Return the distinct trimmed texts of a raw column, with their counts."""
    encoded = pc.utf8_trim_whitespace(column).dictionary_encode()
    texts, codes = encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(int)
    counts = np.bincount(codes, minlength=len(texts))
    found = Values(texts, counts, codes)
    return found.without({""}) if pc.any(pc.equal(texts, "")).as_py() else found
