"""Ingest a file in memory only: which rows the contract would refuse, and why."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import HISTORY, Contract
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.files.table import SourceTable, open_applications
from loan_scoring.ingest.outcome_rows import (
    NO_AMOUNT,
    NO_DATE,
    OutcomeColumns,
    outcome_columns,
    read_facts,
    read_states,
)
from loan_scoring.ingest.row_rules import RejectedRow, RowRules

EXAMPLES = 3
MOST_ROWS = 500_000
"""Warnings go by so many accepted rows of the file, from its begin."""
MOST_LETTERS = 60


@dataclass
class Refused:
    """The rows that broke one rule, and the first values that broke it."""

    rows: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class DryRun:
    """What ingesting a file would give."""

    received: int
    accepted: int
    refused: dict[str, Refused]
    """By rule, as `rule:column`, the rule with the most rows first."""
    ignored: list[str]
    """Columns of the file that the contract does not declare."""
    lacking: list[str]
    """Columns that the contract declares and that the file may lack, and lacks."""
    rows: pa.Table
    """The first accepted rows, with the contract's types."""
    states: dict[str, int] | None
    """Number of rows with each text of the target. None if the file lacks the target."""
    outcomes: np.ndarray | None
    """Of `rows`: 1 for a default, 0 for a paid loan and -1 for no outcome, shape (rows,)."""
    outcomes_refused: dict[str, Refused] = field(default_factory=dict)
    """Outcomes whose date or recovered amount cannot be read, by rule."""


def dry_run(contract: Contract, location: str) -> DryRun:
    """Read a file by the contract's rules, and write nothing.

    Raises:
        SourceError: the file cannot be read, or lacks a column of the contract.
    """
    rules = RowRules(contract)
    refused: dict[str, Refused] = {}
    kept: list[pa.Table] = []
    outcomes: list[np.ndarray] = []
    states: Counter[str] = Counter()
    received = accepted = 0
    facts = outcome_columns(contract, is_history=True)
    outcomes_refused: dict[str, Refused] = {}
    with _open(contract, location) as table:
        has_target = contract.target.source in table.header.names
        for block in table:
            rows, rejected = rules.apply(block)
            received += rows.num_rows + len(rejected)
            accepted += rows.num_rows
            if sum(each.num_rows for each in kept) < MOST_ROWS:
                kept.append(rows)
                if has_target:
                    outcomes.append(_outcomes_of(contract, block, rows))
            _count(contract, block, rejected, refused)
            if has_target:
                texts = pc.utf8_trim_whitespace(block.table.column(contract.target.source))
                for each in pc.value_counts(texts.combine_chunks()).to_pylist():
                    states[each["values"]] += each["counts"]
                _count_outcomes(contract, facts, block, outcomes_refused)
        ignored, lacking = table.header.extra, table.header.missing
    ordered = dict(sorted(refused.items(), key=lambda pair: -pair[1].rows))
    return DryRun(
        received,
        accepted,
        ordered,
        ignored,
        lacking,
        pa.concat_tables(kept),
        dict(states.most_common()) if has_target else None,
        np.concatenate(outcomes) if outcomes else None,
        outcomes_refused,
    )


def _open(contract: Contract, location: str) -> SourceTable:
    """Open a file of applications, with its outcomes if it has them."""
    wanted, optional = split_columns_of_file(contract, HISTORY)
    wanted.remove(contract.target.source)
    further = [*optional, contract.target.source, *_facts(contract, wanted)]
    return open_applications(contract, location, wanted, [*dict.fromkeys(further)])


def _facts(contract: Contract, wanted: list[str]) -> list[str]:
    """Return the columns with dates and recovered amounts of outcomes that are not wanted yet."""
    return [name for name in outcome_columns(contract, is_history=True).optional
            if name not in wanted]  # fmt: skip


def _outcomes_of(contract: Contract, block: Block, rows: pa.Table) -> np.ndarray:
    """Return 1 for each accepted row that is a default, 0 if it is paid, and else -1."""
    is_default, _ = read_states(contract.target, block.table.column(contract.target.source))
    codes = is_default.cast(pa.int8()).fill_null(-1).to_numpy()
    kept = np.isin(block.line_numbers, rows.column("line_number").to_numpy())
    return np.asarray(codes[kept])


def _count_outcomes(
    contract: Contract, facts: OutcomeColumns, block: Block, refused: dict[str, Refused]
) -> None:
    _, is_open = read_states(contract.target, block.table.column(contract.target.source))
    sources = {NO_DATE: facts.observed_on, NO_AMOUNT: facts.recovered}
    for rule, mask in read_facts(contract, facts, block)[2]:
        broken = np.flatnonzero(mask & ~is_open)
        declared = sources[rule]
        if not len(broken) or declared is None:
            continue
        found = refused.setdefault(rule, Refused())
        found.rows += len(broken)
        for place in broken[: EXAMPLES - len(found.examples)].tolist():
            text = block.table.column(declared.source)[place].as_py()
            found.examples.append(_shown(text, block.line_numbers[place]))


def _count(
    contract: Contract, block: Block, rejected: list[RejectedRow], refused: dict[str, Refused]
) -> None:
    for row in rejected:
        for rule in row.rules:
            found = refused.setdefault(rule, Refused())
            found.rows += 1
            if len(found.examples) < EXAMPLES:
                shown = _value(contract, block, row, rule.partition(":")[2])
                if shown not in found.examples:
                    found.examples.append(shown)


def _value(contract: Contract, block: Block, row: RejectedRow, column: str) -> str:
    """Return the value that broke a rule, or the record if the record is malformed."""
    declared = contract.by_name.get(column)
    place = int(np.searchsorted(block.line_numbers, row.line_number))
    is_row = place < len(block.line_numbers) and block.line_numbers[place] == row.line_number
    if declared is not None and is_row:
        named = [source for source in declared.sources if source in block.table.column_names]
        text = ", ".join(block.table.column(name)[place].as_py() for name in named)
    else:
        text = row.raw_text
    return _shown(text, row.line_number)


def _shown(text: str, line_number: int) -> str:
    shown = text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 3] + "..."
    return f"{shown!r} (line {line_number:,})"
