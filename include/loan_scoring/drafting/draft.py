"""Draft a whole contract from a file, without a database."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loan_scoring.drafting import hints
from loan_scoring.drafting.columns import ColumnDraft, draft_column
from loan_scoring.drafting.functions import is_function_of
from loan_scoring.drafting.keys import Entry, draft_key
from loan_scoring.drafting.later import ColumnFigures, when_known
from loan_scoring.drafting.raw_file import RawFile, read_raw
from loan_scoring.drafting.target import TargetDraft, draft_target
from loan_scoring.drafting.values import SURE_NULLS, Values, count_values
from loan_scoring.drafting.words import label_of, names_of
from loan_scoring.errors import SourceError
from loan_scoring.models.training.leak_figures import LeakFigures

FEW_LOANS = 1000
"""The default of training.min_loans."""
AGE_BANDS = [25, 35, 45, 55, 65]


@dataclass
class ContractDraft:
    """All that the written draft says."""

    portfolio: str
    file: RawFile
    key: Entry
    columns: list[Entry]
    empty: list[str | int]
    target: TargetDraft
    outcomes: np.ndarray | None
    """1 for a default, 0 for a paid loan and -1 for a loan without outcome, shape (rows,)."""
    protected: list[Any] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Categories of places, which may stand for the origin of people."""
    amount: str | None = None

    @property
    def is_shouted(self) -> bool:
        """Whether all headers are in capitals."""
        return self.file.is_shouted


def draft_contract(
    location: str, portfolio: str, key: str | None = None, target: str | None = None
) -> ContractDraft:
    """Return the draft of a contract for a labelled file.

    Args:
        location: file or URL.
        portfolio: name of the portfolio.
        key: header of the key, or several with commas between them, or `row` or `line` for a key
            that is made from the row. If None, the draft looks for a key.
        target: header of the target, or its position in a file without header. If None, the draft
            looks for a target.

    Raises:
        SourceError: the file cannot be read, or lacks the named columns.
    """
    file = read_raw(location)
    values = {source: count_values(column) for source, column in file.columns.items()}
    aim = draft_target(values, None if target is None else file.source_named(target))
    outcomes = aim.outcomes(values[aim.source]) if aim.is_found else None
    drafts: dict[str | int, ColumnDraft] = {}
    empty: list[str | int] = []
    for source, each in values.items():
        if source == aim.source and aim.is_found:
            continue
        if len(each.null_words(SURE_NULLS)) == len(each.texts):
            empty.append(source)
        else:
            drafts[source] = draft_column(source, each)
    entry, sources = draft_key(file, drafts, key)
    rest = [draft for source, draft in drafts.items() if source not in sources]
    if not rest:
        raise SourceError(
            f"{file.where}: besides key and target no column has a value; nothing can be drafted"
        )
    names = names_of([d.source for d in rest], {d.source: d.type for d in rest})
    drafted = ContractDraft(portfolio, file, entry, [], empty, aim, outcomes)
    figures = ColumnFigures(outcomes)
    for draft in rest:
        drafted.columns.append(_entry(draft, names[draft.source], figures, drafted))
    _ask_of_functions(drafted.columns, values)
    return drafted


def _ask_of_functions(entries: list[Entry], values: dict[str | int, Values]) -> None:
    """Ask about columns that are exact functions of a column that is drafted as an outcome."""
    later = [each for each in entries if each.fields["known"] == "outcome"]
    for entry in entries:
        own = values[entry.fields["source"]]
        found = [e for e in later if is_function_of(own, values[e.fields["source"]])]
        if entry.fields["known"] == "application" and found:
            entry.todos.append(
                f"can be computed from {found[0].fields['name']}: known only afterwards too?"
            )


def _entry(draft: ColumnDraft, name: str, figures: ColumnFigures, whole: ContractDraft) -> Entry:
    values, words = draft.values, draft.words
    entry = Entry(
        {"source": draft.source, "name": name, "label": label_of(draft.source, whole.is_shouted)}
    )
    entry.todos = list(draft.todos)
    is_whole_id = draft.is_identifier and len(values.texts) > values.filled / 2
    type_ = "text" if draft.type != "uuid" and is_whole_id else draft.type
    found = figures.of(draft.typed()) if type_ not in ("text", "uuid") else None
    if draft.numbers is not None and hints.is_calendar_year(words, draft.numbers):
        entry.todos.append("outside the training range on every new night: stored_only?")
    nulls = 1 - values.filled / values.rows
    known, why = when_known(words, found)
    if why:
        entry.todos.append(why)
    entry.fields |= {"type": type_, "known": known}
    if type_ == draft.type:
        entry.fields |= draft.fields
    if draft.tokens:
        entry.fields["null_tokens"] = draft.tokens
    if nulls and known == "application":
        entry.fields["max_null_share"] = min(1, math.ceil(nulls * 115) / 100)
    if known != "application":
        # The files of nights have no such values, and often not the column.
        entry.fields |= {"max_null_share": 1, "optional": True}
    entry.facts = list(draft.facts) if type_ == draft.type else ["an identifier: stored only"]
    if len(values.texts) == 1 and not nulls:
        entry.facts = [f"always {values.by_count[0][0]}: no model learns from it"]
    if nulls:
        entry.facts.append(f"{nulls * 100:.2g} % null" if nulls < 0.995 else "nearly always null")
    if found is not None:
        entry.facts.append(_shown(found))
    if type_ == "text" and not is_whole_id:
        entry.facts.append("stored only; leave it out if it holds personal data")
    is_stored_only = type_ in ("text", "uuid", "date", "datetime")
    if hints.has(words, hints.PROTECTED) and is_stored_only:
        entry.facts.append("looks protected; it is stored only, so never a feature")
    elif hints.has(words, hints.PROTECTED):
        entry.facts.append("looks protected")
        is_age = draft.numbers is not None and draft.type != "boolean" and "age" in words
        whole.protected.append({"column": name, "bands": AGE_BANDS} if is_age else name)
    elif hints.has(words, hints.PROXIES) and type_ == "category":
        entry.facts.append("a place may stand for the origin of people")
        whole.places.append(name)
    if whole.amount is None and type_ == "money" and {"loan", "amount"} & {*words}:
        whole.amount = name if known == "application" else None
    return entry


def _shown(found: LeakFigures) -> str:
    shown = [f"AUC {found.auc:.2f}"] if found.auc is not None else []
    shown += [f"null AUC {found.null_auc:.2f}"] if found.null_auc is not None else []
    return ", ".join(shown) or "AUC not known"
