"""Draft the key: one column, several, one without a name, or made from the row."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from loan_scoring.contract import KEY
from loan_scoring.drafting.columns import ColumnDraft
from loan_scoring.drafting.raw_file import RawFile
from loan_scoring.drafting.values import count_values
from loan_scoring.drafting.words import label_of
from loan_scoring.errors import SourceError
from loan_scoring.ingest.files.columns import nameless_column


@dataclass
class Entry:
    """A column of the draft, as the contract's fields, with the remarks that stand above it."""

    fields: dict[str, Any]
    facts: list[str] = field(default_factory=list)
    todos: list[str] = field(default_factory=list)


def draft_key(
    file: RawFile, drafts: dict[str | int, ColumnDraft], chosen: str | None
) -> tuple[Entry, list[str | int]]:
    """Return the key's entry and the columns that it is read from.

    Args:
        file: the file.
        drafts: its columns with values, without the target.
        chosen: as `key` of `draft_contract`.

    Raises:
        SourceError: the chosen columns cannot be a key.
    """
    entry = Entry({"source": "", "name": KEY, "label": "Loan number"})
    if chosen in ("row", "line") and KEY in file.columns:
        raise SourceError(
            f"{file.where} has a column {KEY}, so no key is made from its rows; draft it with "
            f"--key {KEY}"
        )
    if chosen is None and KEY in drafts:
        chosen = KEY
    if chosen in ("row", "line"):
        return _made(entry, file, str(chosen)), []
    if chosen is not None:
        sources = [file.source_named(name.strip()) for name in chosen.split(",")]
        useless = [str(source) for source in sources if source not in drafts]
        if useless:
            raise SourceError(
                f"{file.where}: '{useless[0]}' is the target or has no value, so it is no key"
            )
        unique, rows = _distinct([file.columns[source] for source in sources]), file.rows
        if unique < rows:
            entry.todos.append(
                f"only {unique:,} of {rows:,} keys differ; rows that repeat a key are refused"
            )
    else:
        sources = _find_key(drafts, file)
        if not sources:
            return _nameless(entry, file) or _made(entry, file, None), []
    if len(sources) > 1:
        entry.fields |= {"source": sources, "type": "text", "known": "application"}
        return entry, sources
    draft = drafts[sources[0]]
    type_ = draft.type if draft.type in ("integer", "uuid") and not draft.tokens else "text"
    is_whole = bool(draft.values.match(r"^(0|[1-9][0-9]{0,17})$").all())
    type_ = "integer" if is_whole and draft.type != "uuid" else type_
    entry.fields |= {
        "source": sources[0],
        "label": label_of(sources[0], file.is_shouted),
        "type": type_,
        "known": "application",
    }
    return entry, sources


def _find_key(drafts: dict[str | int, ColumnDraft], file: RawFile) -> list[str | int]:
    """Return the columns that identify a row: one with different values, else a pair of them."""
    unique = [
        draft
        for draft in drafts.values()
        if len(draft.values.texts) == draft.values.rows
        and (draft.is_identifier or draft.type in ("integer", "uuid", "text"))
        and draft.type not in ("number", "date", "datetime", "money", "percent")
    ]
    if unique:
        best = max(
            unique,
            key=lambda d: (d.is_identifier, "loan" in d.words, "id" in d.words, d.type != "text"),
        )
        return [best.source] if best.is_identifier or best.type != "text" else []
    ids = [d for d in drafts.values() if d.is_identifier and d.values.filled == d.values.rows]
    for place, first in enumerate(ids):
        for second in ids[place + 1 :]:
            if _distinct([file.columns[first.source], file.columns[second.source]]) == file.rows:
                return [first.source, second.source]
    return []


def _made(entry: Entry, file: RawFile, how: str | None) -> Entry:
    """Return the entry of a key that is made from the row, or from file and line."""
    if how is None:
        columns = [*file.columns.values(), *file.unnamed.values()]
        how = "row" if _distinct(columns) == file.rows else "line"
    del entry.fields["source"]
    entry.fields |= {"made_from": how, "type": "uuid" if how == "row" else "text"}
    entry.fields["known"] = "application"
    made = "the bytes of the row" if how == "row" else "the names of file and line"
    entry.todos.append(
        f"the file has no key: it is made from {made}. Outcomes of nights need a key that the "
        "lender knows, so ask for one"
    )
    return entry


def _nameless(entry: Entry, file: RawFile) -> Entry | None:
    """Return the entry of a key that has no name in the header, if there is one."""
    for place in file.nameless:
        values = count_values(file.unnamed[place])
        if len(values.texts) == values.filled == file.rows:
            is_whole = bool(values.match(r"^(0|[1-9][0-9]{0,17})$").all())
            type_ = "integer" if is_whole else "text"
            entry.fields |= {
                "source": nameless_column(place),
                "type": type_,
                "known": "application",
            }
            entry.todos.append(
                f"column {place} has no name in the header, and another value in each row: is it "
                "the lender's number, or a count of rows? Outcomes of nights need a number that "
                "stays the same"
            )
            return entry
    return None


def _distinct(columns: list[pa.Array]) -> int:
    table = pa.table({str(place): column for place, column in enumerate(columns)})
    return int(table.group_by(table.column_names).aggregate([]).num_rows)
