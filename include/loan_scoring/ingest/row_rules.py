"""Convert rows of text to the contract's types, and find every rule that each row breaks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loan_scoring.contract import KEY, Column, Contract
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.parsing.columns import Broken, parse_column
from loan_scoring.ingest.parsing.numbers import as_floats, as_mask

Lookup = Callable[[pa.Array], np.ndarray]
"""A function that takes keys and returns a mask: True for each key that another batch has.

A key that is null or cannot be read is passed as null, and its mask is False.
"""


@dataclass(frozen=True)
class RejectedRow:
    """A record that broke at least one rule.

    A name in `rules` is `rule:column`, or only the rule if the record is malformed. `key` is the
    record's key, or None if the record has no key that can be read.
    """

    line_number: int
    raw_text: str
    rules: list[str]
    key: int | str | None = None


class RowRules:
    """Apply a contract's row rules to the blocks of one file.

    Keys are remembered from block to block, so that a repeated key is found in any later block.

    Args:
        contract: contract of the portfolio.
        is_known: function that returns which keys are applications of another batch. If None, the
            rule `known_key` is not checked.
        finds_repeats: False leaves the rule `duplicate_key` to the caller, who sees all rows.
    """

    def __init__(
        self, contract: Contract, is_known: Lookup | None = None, *, finds_repeats: bool = True
    ) -> None:
        self._contract = contract
        self._keys = KeyRules(contract.key, is_known, finds_repeats=finds_repeats)

    def remember(self, keys: pa.Array) -> None:
        """Record keys that the batch already has. A later row with such a key is a duplicate."""
        self._keys.remember(keys)

    def apply(self, block: Block) -> tuple[pa.Table, list[RejectedRow]]:
        """Return the accepted rows of a block, and the rejected records.

        The accepted rows have the contract's types, and their first column is `line_number`.
        Malformed records are among the rejected records.
        """
        typed: dict[str, pa.Array] = {}
        broken: Broken = []
        timezone = self._contract.schedules.timezone
        for column in self._contract.columns:
            is_key = column.name == KEY
            read = self._keys.apply(block) if is_key else parse_column(column, block, timezone)
            typed[column.name] = read[0]
            broken += read[1]
        for ratio in self._contract.ratios:
            expected = ratio.scale * as_floats(typed[ratio.numerator])
            with np.errstate(divide="ignore", invalid="ignore"):
                expected = expected / as_floats(typed[ratio.denominator])
                off = np.abs(as_floats(typed[ratio.column]) - expected) > ratio.tolerance * np.abs(
                    expected
                )
            broken.append((f"{ratio.name}:{ratio.column}", off))
        return accepted_and_rejected(
            block, {"line_number": pa.array(block.line_numbers), **typed}, broken
        )


class KeyRules:
    """The rules for keys: readable, not null, not repeated in the batch, not in another batch."""

    def __init__(
        self, column: Column, is_known: Lookup | None = None, *, finds_repeats: bool = True
    ) -> None:
        self._column, self._is_known, self._finds_repeats = column, is_known, finds_repeats
        self._seen_integers = SeenIntegers()
        self._seen_texts: set[str] = set()

    def apply(self, block: Block) -> tuple[pa.Array, Broken]:
        """Return the keys of a block, and the rules that the keys break.

        A key that cannot be read is null.
        """
        keys, faults = parse_column(self._column, block)
        unreadable = any_of([mask for _, mask in faults], len(keys))
        faults.append((f"null_key:{KEY}", as_mask(keys.is_null()) & ~unreadable))
        if self._finds_repeats:
            faults.append((f"duplicate_key:{KEY}", self._repeated(keys)))
        if self._is_known is not None:
            faults.append((f"known_key:{KEY}", self._is_known(keys)))
        return keys, faults

    def remember(self, keys: pa.Array) -> None:
        """Record keys, so that a later row with the same key is a duplicate."""
        self._repeated(keys)

    def _repeated(self, keys: pa.Array) -> np.ndarray:
        present = as_mask(keys.is_valid())
        repeated = np.zeros(len(keys), dtype=bool)
        if pa.types.is_integer(keys.type):
            repeated[present] = self._seen_integers.add(keys.drop_null().to_numpy())
            return repeated
        for row, value in zip(np.flatnonzero(present), keys.drop_null().to_pylist(), strict=True):
            repeated[row] = value in self._seen_texts
            self._seen_texts.add(value)
        return repeated


class SeenIntegers:
    """A growing set of 64-bit integers that needs 8 bytes for each integer.

    The integers are kept in sorted arrays, called runs. Each run is more than twice as long as the
    next run. So a set of n integers has O(log n) runs to search, and each integer is merged into a
    longer run O(log n) times.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> np.ndarray:
        """Add values, and return a mask of the values that were in the set before or are repeated.

        >>> seen = SeenIntegers()
        >>> seen.add(np.array([3, 1, 3])).tolist(), seen.add(np.array([2, 1])).tolist()
        ([False, False, True], [False, True])
        """
        order = np.argsort(values, kind="stable")
        run = values[order]
        is_seen = np.zeros(len(values), dtype=bool)
        is_seen[order[1:]] = run[1:] == run[:-1]
        for earlier in self._runs:
            places = np.minimum(np.searchsorted(earlier, values), len(earlier) - 1)
            is_seen |= earlier[places] == values
        run = values[order][~is_seen[order]]
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            # The sort is stable, because NumPy's stable sort of 64-bit integers is timsort, which
            # merges two sorted arrays in linear time.
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        if len(run):
            self._runs.append(run)
        return is_seen


def accepted_and_rejected(
    block: Block, columns: dict[str, pa.Array], broken: Broken
) -> tuple[pa.Table, list[RejectedRow]]:
    """Split a block into accepted rows and rejected records.

    Malformed records are among the rejected records.

    Args:
        block: block of rows as text.
        columns: the block's columns converted to their types, for all rows of the block.
        broken: the rules, each with a mask of the rows that break the rule.
    """
    bad = any_of([mask for _, mask in broken], block.table.num_rows)
    rejected = [
        RejectedRow(
            int(block.line_numbers[row]),
            block.raw_text(row),
            [rule for rule, mask in broken if mask[row]],
            columns[KEY][row].as_py(),
        )
        for row in np.flatnonzero(bad).tolist()
    ]
    rejected += [RejectedRow(m.line_number, m.raw_text, [m.reason]) for m in block.malformed]
    accepted = pa.table(columns)
    return accepted.filter(pa.array(~bad)) if bad.any() else accepted, rejected


def any_of(masks: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Return a mask of the rows that are marked in at least one of the masks."""
    return np.logical_or.reduce(masks) if masks else np.zeros(rows, dtype=bool)
