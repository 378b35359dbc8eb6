"""Parse the records of an outcomes file, and check each record by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import (
    KEY,
    AmountSource,
    Column,
    Contract,
    DateSource,
    FileFormat,
    Target,
    same_text,
)
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.keys import key_columns
from loan_scoring.ingest.parsing.columns import parse_column
from loan_scoring.ingest.parsing.dates import parse_dates
from loan_scoring.ingest.parsing.numbers import as_mask, parse_numbers
from loan_scoring.ingest.quarantine import postgres_array
from loan_scoring.ingest.row_rules import any_of

OBSERVED_ON = "observed_on"
"""The column with the date of each outcome, also in files if the contract does not name it."""
RECOVERED = Column(
    source="recovered", name="recovered", label="recovered", type="number", known="outcome"
)
"""The amount that was recovered of a defaulted loan, as a column."""
NO_DATE, NO_AMOUNT = f"not_a_date:{OBSERVED_ON}", f"not_a_number:{RECOVERED.name}"
"""The rules of the date and of the recovered amount."""


@dataclass(frozen=True)
class OutcomeColumns:
    """The columns of an outcomes file, and how they are read.

    `wanted` are the columns that the file must have, and `optional` those that it may have.
    """

    key: Column
    target: str
    observed_on: DateSource
    recovered: AmountSource | None
    files: FileFormat
    wanted: list[str]
    optional: list[str]


def outcome_columns(
    contract: Contract, is_history: bool, is_corrected: bool = False
) -> OutcomeColumns:
    """Return the columns of a file of outcomes, or of the labels in the file of `history`.

    Files of outcomes are as the contract's `outcomes` says. The file of `history` is a file of
    applications. It may have the columns of `outcomes` with the date and the recovered amount.

    Args:
        contract: contract of the portfolio.
        is_history: whether the file is one of `history`.
        is_corrected: whether the file has corrected rows of `history`.
    """
    declared, key, target = contract.outcomes, contract.key, contract.target.source
    observed_on = declared.observed_on or DateSource(source=OBSERVED_ON)
    facts = [each.source for each in (declared.observed_on, declared.recovered) if each]
    files: FileFormat = contract.source
    if not is_history:
        if declared.key is not None:
            key = key.model_copy(update={"source": declared.key, "made_from": None})
        target, files = declared.target or target, declared.files(contract.source)
    elif is_corrected:
        files = contract.source.corrected
    may_lack = [observed_on.source, *facts] if is_history else [observed_on.source]
    # Only the file of history as it was delivered has the rows from which keys may be made.
    keys = key.sources if is_history and not is_corrected else key_columns(key)
    wanted = [*keys, target, *([] if is_history else facts)]
    optional = [name for name in dict.fromkeys(may_lack) if name not in wanted]
    return OutcomeColumns(key, target, observed_on, declared.recovered, files, wanted, optional)


def parse_outcomes(
    contract: Contract, columns: OutcomeColumns, blocks: Iterable[Block]
) -> Iterator[tuple[pa.Table, int]]:
    """Yield for each block a table of typed records, and the number of open loans.

    Open loans are not in the table, and malformed records are. Column `rules` has the rules that a
    record breaks by itself. Rules that compare the record with other records or with known loans
    are checked later, in SQL.
    """
    for block in blocks:
        loan_id, broken = parse_column(columns.key, block)
        unreadable = any_of([mask for _, mask in broken], len(loan_id))
        is_null = loan_id.is_null().to_numpy(zero_copy_only=False)
        broken.append((f"null_key:{KEY}", is_null & ~unreadable))
        is_default, is_open = read_states(contract.target, block.table.column(columns.target))
        broken.append((f"unknown_level:{columns.target}", as_mask(is_default.is_null()) & ~is_open))
        observed_on, recovered, wrong = read_facts(contract, columns, block)
        broken += wrong
        recovered = pc.if_else(is_default, recovered, pa.scalar(None, pa.float64()))
        yield (
            _with_malformed(
                pa.table(
                    {
                        "line_number": block.line_numbers,
                        "rules": _rules(broken, len(loan_id)),
                        KEY: loan_id,
                        "is_default": is_default,
                        OBSERVED_ON: observed_on,
                        RECOVERED.name: recovered,
                    }
                ).filter(pa.array(~is_open)),
                block,
            ),
            int(is_open.sum()),
        )


def _rules(broken: list[tuple[str, np.ndarray]], rows: int) -> pa.Array:
    """Return the rules that each row breaks, as literals of Postgres arrays."""
    is_bad = any_of([mask for _, mask in broken], rows)
    texts = [
        postgres_array([rule for rule, mask in broken if mask[row]])
        for row in np.flatnonzero(is_bad).tolist()
    ]
    return pc.replace_with_mask(
        pa.repeat("{}", rows), pa.array(is_bad), pa.array(texts, pa.string())
    )


def _with_malformed(rows: pa.Table, block: Block) -> pa.Table:
    if not block.malformed:
        return rows
    malformed = {
        "line_number": [each.line_number for each in block.malformed],
        "rules": [postgres_array([each.reason]) for each in block.malformed],
    }
    nulls = {
        field.name: pa.nulls(len(block.malformed), field.type)
        for field in rows.schema
        if field.name not in malformed
    }
    return pa.concat_tables([rows, pa.table(malformed | nulls, schema=rows.schema)])


def read_states(target: Target, column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Return whether each text means default, null for other texts, and a mask of open loans.

    Each distinct text is compared once, as text and as a number.
    """
    encoded = pc.utf8_trim_whitespace(column.combine_chunks()).dictionary_encode()
    declared = [(target.positive, True), (target.negative, False), (target.open, None)]
    meaning = {same_text(text): value for texts, value in declared for text in texts}
    states = [same_text(text) for text in encoded.dictionary.to_pylist()]
    is_default = pa.array([meaning.get(state) for state in states], pa.bool_())
    is_open = pa.array([meaning.get(state, False) is None for state in states], pa.bool_())
    return is_default.take(encoded.indices), as_mask(is_open.take(encoded.indices))


def read_facts(
    contract: Contract, columns: OutcomeColumns, block: Block
) -> tuple[pa.Array, pa.Array, list[tuple[str, np.ndarray]]]:
    """Return dates of outcomes, recovered amounts, and for each rule a mask of rows that break it.

    Both are null in every row if the block lacks their column.
    """
    may_be_blank = contract.outcomes.observed_on is not None
    observed_on, no_date = _dates(columns.observed_on, block, may_be_blank)
    recovered, no_number = _amounts(columns.recovered, block)
    rules = [NO_DATE, NO_AMOUNT]
    return observed_on, recovered, list(zip(rules, [no_date, no_number], strict=True))


def _dates(declared: DateSource, block: Block, may_be_blank: bool) -> tuple[pa.Array, np.ndarray]:
    """Return the dates of outcomes, and a mask of the rows that are not a date.

    Dates that cannot be read are null. If the table has no such column, all dates are null and the
    mask marks no row.

    Args:
        declared: the column and its formats.
        block: rows as text.
        may_be_blank: whether a blank text means that no date is known.
    """
    rows = block.table.num_rows
    if declared.source not in block.table.column_names:
        return pa.nulls(rows, pa.date32()), np.zeros(rows, dtype=bool)
    text = pc.utf8_trim_whitespace(block.table.column(declared.source).combine_chunks())
    text = _without_blanks(text) if may_be_blank else text
    if block.kinds.get(declared.source) == "time":
        return parse_dates(text, may_be_midnight=True)
    if declared.formats:
        return parse_dates(text, declared.formats)
    encoded = text.dictionary_encode()
    dates = pa.array([_iso_date(each) for each in encoded.dictionary.to_pylist()], pa.date32())
    found = dates.take(encoded.indices)
    return found, as_mask(pc.and_(found.is_null(), text.is_valid()))


def _iso_date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _amounts(declared: AmountSource | None, block: Block) -> tuple[pa.Array, np.ndarray]:
    """Return recovered amounts, and a mask of the rows that are not a number. A blank is null."""
    rows = block.table.num_rows
    if declared is None or declared.source not in block.table.column_names:
        return pa.nulls(rows, pa.float64()), np.zeros(rows, dtype=bool)
    column = RECOVERED.model_copy(update=declared.model_dump(exclude={"source"}))
    text = block.table.column(declared.source).combine_chunks()
    return parse_numbers(column, text, is_plain=block.kinds.get(declared.source) == "number")


def _without_blanks(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
