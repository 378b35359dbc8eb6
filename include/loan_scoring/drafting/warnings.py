"""Say what is odd about a file that the contract accepts."""

from collections import defaultdict
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Column, Contract
from loan_scoring.counted import named
from loan_scoring.drafting.dry_run import DryRun
from loan_scoring.drafting.later import later_warnings
from loan_scoring.drafting.values import PLAIN

ALMOST_NUMBER = 0.9
"""A category in which so large a share of the values are numbers may be a number."""
DIGITS = "^[0-9]+$"
"""Levels that are all such texts are codes, such as ZIP codes."""
FEW_LEVELS = 10
"""Categories with at most so many levels are codes, even if they are numbers."""


def warnings_of(contract: Contract, found: DryRun) -> list[str]:
    """Return what a person should look at, each as one line that names its field.

    If the file would be refused as a whole, nothing is said about the few rows that are left.
    """
    whole = [*_outcomes(contract, found), *_whole_file(contract, found)]
    if refusal_of(contract, found):
        return whole
    lacking = {*found.lacking}
    columns = [each for each in contract.inputs if not {*each.sources} <= lacking]
    return [
        *whole,
        *later_warnings(contract, found),
        *(line for column in columns for line in _column(column, found.rows)),
    ]


def refusal_of(contract: Contract, found: DryRun) -> str | None:
    """Return why a batch of the file would be refused as a whole, or None."""
    share = 1 - found.accepted / max(found.received, 1)
    most = contract.ingest.max_quarantined_share
    if share <= most:
        return None
    return (
        f"ingest.max_quarantined_share: {share:.1%} of the rows are refused, more than "
        f"{most:.1%}: the batch would be refused; correct what the rules above show"
    )


def contract_warnings(contract: Contract) -> list[str]:
    """Return what is odd about a contract by itself, each as one line that names its field."""
    later = [
        column.name
        for column in contract.columns
        if not column.is_known_at_application and not column.is_absent_at_times
    ]
    if not later:
        return []
    return [
        f"columns: known later, but not optional: {', '.join(later)}; a night's file without them "
        "is refused; set optional: true"
    ]


def _outcomes(contract: Contract, found: DryRun) -> Iterator[str]:
    if found.states is None:
        yield (
            f"target.source: the file has no column '{contract.target.source}'; "
            "a history needs it, a night does not"
        )
        return
    target = contract.target
    known = {*target.positive, *target.negative}
    states = found.states
    labelled = sum(count for text, count in states.items() if text in known)
    defaults = sum(count for text, count in states.items() if text in target.positive)
    least = contract.training.min_loans
    if labelled < least:
        yield (
            f"training.min_loans: {labelled:,} loans of the file have an outcome, training needs "
            f"{least:,}; lower min_loans, or bring more history"
        )
    if labelled and defaults in (0, labelled):
        yield f"target: {defaults:,} of {labelled:,} outcomes are defaults; a model needs both"
    is_open = {*target.open}
    odd = [f"'{text}' {count:,}" for text, count in states.items() if text not in known | is_open]
    if odd:
        shown = ", ".join(odd[:5]) + " ..." * (len(odd) > 5)
        yield f"target: refused, as neither positive, negative nor open: {shown}"


def _whole_file(contract: Contract, found: DryRun) -> Iterator[str]:
    lacking = [column.name for column in contract.inputs if {*column.sources} & {*found.lacking}]
    if lacking:
        yield f"columns: {named(lacking)} not in the file, as the contract allows; null in all rows"
    if found.ignored:
        yield f"columns: not declared, so left out: {', '.join(found.ignored)}"


def _column(column: Column, rows: pa.Table) -> Iterator[str]:
    values = rows.column(column.name).combine_chunks()
    place, count = f"columns.{column.name}", len(values)
    if not count:
        return
    nulls = values.null_count / count
    distinct = pc.count_distinct(values).as_py()
    if nulls == 1:
        yield f"{place}: null in every row"
    elif distinct == 1 and not nulls:
        yield f"{place}: always {values[0].as_py()}, so no model learns from it"
    if column.is_known_at_application and nulls > column.null_share_limit:
        limit = f"more than {column.null_share_limit:.1%}"
        yield f"{place}: {nulls:.1%} null, {limit}: the batch would be refused"
    elif column.is_known_at_application and nulls > column.max_null_share:
        usual = f"usual are {column.max_null_share:.1%}"
        yield f"{place}.max_null_share: {nulls:.1%} null, {usual}: an alert"
    if pa.types.is_string(values.type) and column.type == "category":
        yield from _texts(column, values, place)


def _texts(column: Column, values: pa.Array, place: str) -> Iterator[str]:
    levels = pc.value_counts(values.drop_null())
    texts, counts = levels.field("values"), levels.field("counts")
    numbers = pc.match_substring_regex(texts, PLAIN)
    total = pc.sum(counts).as_py() or 0
    numeric = pc.sum(pc.if_else(numbers, counts, 0)).as_py() or 0
    is_code = numeric == total and pc.all(pc.match_substring_regex(texts, DIGITS)).as_py()
    if len(texts) > FEW_LEVELS and numeric >= ALMOST_NUMBER * total and not is_code:
        other = texts.filter(pc.invert(numbers)).to_pylist()
        rest = f", others are {', '.join(map(repr, other[:3]))}" if other else ""
        yield f"{place}.type: {numeric / total:.1%} numbers{rest}: should its type be number?"
    spellings: dict[str, set[str]] = defaultdict(set)
    declared = column.levels if isinstance(column.levels, list) else []
    for text in [*texts.to_pylist(), *declared]:
        spellings[text.casefold()].add(text)
    pairs = [" and ".join(sorted(same)) for same in spellings.values() if len(same) > 1]
    if pairs:
        shown = "; ".join(pairs[:3]) + f"; {len(pairs) - 3} more" * (len(pairs) > 3)
        yield f"{place}.levels: differ by letter case only: {shown}"
