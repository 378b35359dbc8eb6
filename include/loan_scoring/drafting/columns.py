"""Draft one column of a contract from its raw values."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.drafting import hints
from loan_scoring.drafting.dates import find_format
from loan_scoring.drafting.numbers import find_sentinels, read_style
from loan_scoring.drafting.values import NULL_WORDS, PADDED, PLAIN, SURE_NULLS, WHOLE, Values
from loan_scoring.drafting.words import words_of

YES = frozenset(["y", "yes", "t", "true", "1", "j", "ja", "oui", "si"])
NO = frozenset(["n", "no", "f", "false", "0", "nein", "non"])
UUID = "(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
SPAN = "^[<>]? ?[0-9]+([+]? |-[0-9])"
"""A text such as `10+ years`, `< 1 year` or `25-34`."""
CODES = frozenset({"9", "99", "999", "9999", "-1"})
"""Texts that often mean unknown, among levels that are no numbers."""
FEW_LEVELS, MOST_LEVELS = 20, 50
MOST_FLAGS = 7
FEW_ROWS = 5
SURE_LEVEL_ROWS = 30
"""A level in fewer rows than this may have sisters that the file does not show."""
ALMOST = 0.98
"""A column of which so large a share are numbers is a number; the rest is shown to a person."""


@dataclass
class ColumnDraft:
    """A drafted column: fields of the contract, remarks for a person, and its typed values."""

    source: str | int
    words: list[str]
    values: Values
    type: str = "category"
    fields: dict[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    todos: list[str] = field(default_factory=list)
    numbers: np.ndarray | None = None
    """Each distinct text as a number, if the column is one."""

    @property
    def is_identifier(self) -> bool:
        """Whether the header sounds like a number of a loan, a customer or an account."""
        return hints.is_identifier(self.words)

    def typed(self) -> pa.Array:
        """Return the values of all rows as numbers or as text, for the leak figures."""
        is_null = pa.array(self.values.codes < 0)
        if self.numbers is not None:
            return pa.array(self.numbers[self.values.codes], mask=self.values.codes < 0)
        if not len(self.values.texts):
            return pa.nulls(self.values.rows, pa.string())
        codes = pa.array(np.maximum(self.values.codes, 0))
        found = self.values.texts.take(codes)
        return pa.compute.if_else(is_null, pa.scalar(None, pa.string()), found)


def draft_column(source: str | int, values: Values) -> ColumnDraft:
    """Return the draft of a column that has at least one value."""
    draft = ColumnDraft(source, words_of(source), values)
    words = values.null_words(NULL_WORDS)
    for find in (_flag, _uuid, _date, _number):
        if find(draft, values.without(set(words)), words):
            return draft
    _text(draft, values, [word for word in words if word.lower() in SURE_NULLS])
    return draft


def _take(draft: ColumnDraft, values: Values, tokens: list[str], why: str = "") -> None:
    draft.values = values
    draft.tokens = [*draft.tokens, *tokens]
    sure = [token for token in tokens if token.lower() in SURE_NULLS]
    doubtful = [token for token in tokens if token not in sure]
    if sure:
        draft.facts.append(f"{_quoted(sure)} is read as null")
    if doubtful:
        draft.todos.append(f"{_quoted(doubtful)} is read as null: does it mean unknown?{why}")


def _flag(draft: ColumnDraft, values: Values, words: list[str]) -> bool:
    if len(values.texts) > MOST_FLAGS:
        return False
    texts = [text for text, _ in values.by_count]
    nine = [text for text in texts if text in ("9", "99", "-1") and len(texts) > 2]
    rest = [text for text in texts if text not in nine]
    yes = [text for text in rest if text.lower() in YES]
    no = [text for text in rest if text.lower() in NO]
    if not yes or not no or len(yes) + len(no) < len(rest):
        return False
    if hints.has(draft.words, hints.COUNT) and set(rest) <= {"0", "1"}:
        return False
    draft.type, draft.fields = "boolean", {"is_true": yes, "is_false": no}
    _take(draft, values.without(set(nine)), [*words, *nine])
    if len(rest) > 2:
        shown = ", ".join(f"{text} {count:,}" for text, count in values.by_count)
        draft.todos.append(
            f"which texts are true, which are false: {shown}? If they are more than yes and no, "
            "make it a category with these levels"
        )
    yes_lower = pa.array([text.lower() in YES for text in draft.values.texts.to_pylist()])
    draft.numbers = yes_lower.cast(pa.float64()).to_numpy(zero_copy_only=False)
    draft.facts.append(f"true in {_percent(draft.values.share(draft.numbers == 1))}")
    return True


def _uuid(draft: ColumnDraft, values: Values, words: list[str]) -> bool:
    if not values.filled or not values.match(UUID).all():
        return False
    draft.type = "uuid"
    _take(draft, values, words)
    return True


def _date(draft: ColumnDraft, values: Values, words: list[str]) -> bool:
    is_zero = values.match("^[0/. :-]*$")
    texts, zeros = values.listed(~is_zero), values.listed(is_zero)
    if not texts:
        return False
    has_name = hints.has(draft.words, hints.DATE)
    found = find_format(texts, has_name)
    if found is None or (zeros == ["0"] and found.format not in ("sas_days", "excel_days")):
        return False
    draft.type = "datetime" if found.is_datetime else "date"
    draft.fields = {"format": found.format} if found.format else {}
    if found.others:
        draft.todos.append(f"the dates could also be written as {' or '.join(found.others)}")
    unread = found.unreadable
    few = unread if len(unread) <= 3 else []
    if unread and not few:
        draft.todos.append(f"{len(unread):,} texts are no such date, such as '{unread[0]}'")
    _take(draft, values.without({*zeros, *few}), [*words, *zeros, *few])
    draft.facts.append(f"{found.first} to {found.last}")
    # Births and first credits of other applicants can be earlier than those in the file.
    lowest = 2000 if found.first.year >= 2000 else min(found.first.year // 10 * 10, 1900)
    draft.fields["range"] = [date(lowest, 1, 1), None]
    return True


def _number(draft: ColumnDraft, values: Values, words: list[str]) -> bool:
    if not values.filled:
        return False
    styled = read_style(values)
    plain = styled.values if styled else values
    is_number = plain.match(PLAIN)
    if values.share(is_number) < ALMOST or _is_code(draft, values):
        return False
    odd = values.listed(~is_number)
    few = odd if len(odd) <= 3 else []
    if odd and not few:
        draft.todos.append(
            f"{len(odd):,} texts are no number, such as '{odd[0]}'; such rows are refused"
        )
    numbers = plain.numbers()
    known = np.isfinite(numbers)
    is_code = hints.has(draft.words, hints.CODE)
    sentinels = find_sentinels(numbers[known], plain.counts[known], is_code)
    codes = values.listed(np.isin(numbers, sentinels))
    gone = {*few, *codes}
    kept = ~values.among(gone)
    numbers = numbers[kept]
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    why = f" The other values are {_shown(low)} to {_shown(high)}" if codes else ""
    _take(draft, values.without(gone), [*words, *few, *sorted(set(codes), key=float)], why)
    draft.numbers = numbers
    _name_type(draft, styled, bool(plain.match(WHOLE)[kept].all()), low, high)
    order = np.argsort(numbers)
    middle = np.searchsorted(np.cumsum(draft.values.counts[order]), draft.values.filled / 2)
    draft.facts.append(f"{_shown(low)} to {_shown(high)}, median {_shown(numbers[order][middle])}")
    if len(numbers) <= 8 and draft.type == "integer" and high > 1:
        listed = ", ".join(f"{n:g}" for n in np.sort(numbers))
        draft.facts.append(f"only {listed}: if these are codes, make it a category with levels")
    return True


def _is_code(draft: ColumnDraft, values: Values) -> bool:
    """Return whether digits are a code: zeros in front, or a header such as zip with many codes."""
    is_padded = bool(values.match(PADDED).any())
    is_count = hints.has(draft.words, hints.COUNT | hints.SHARE)
    if is_padded and not (is_count and len(values.texts) < MOST_LEVELS):
        return True
    is_whole = bool(values.match(WHOLE).all())
    code = hints.has(draft.words, hints.CODE) or draft.is_identifier
    return is_whole and code and not hints.is_money(draft.words)


def _name_type(draft: ColumnDraft, styled: Any, is_whole: bool, low: float, high: float) -> None:
    fields = dict(styled.fields) if styled else {}
    is_percent = styled.is_percent if styled else hints.has(draft.words, hints.SHARE)
    if "currency" in fields or (
        hints.is_money(draft.words) and not is_percent and (high > 1 or low == high)
    ):
        draft.type = "money"
        if fields.get("currency"):
            fields = {"unit": {"$": "USD", "€": "EUR", "£": "GBP"}.get(fields["currency"],
                      fields["currency"])} | fields  # fmt: skip
    elif is_percent:
        draft.type, fields = "percent", {"unit": "percent"} | fields
    else:
        draft.type = "integer" if is_whole else "number"
        if unit := hints.unit_of(draft.words):
            fields = {"unit": unit} | fields
    top = 120 if "age" in draft.words and high <= 120 else None
    if low >= 0 or top:
        fields["range"] = [18 if top and low >= 18 else 0, top]
    draft.fields = fields


def _text(draft: ColumnDraft, values: Values, words: list[str]) -> None:
    values = values.without(set(words))
    _take(draft, values, words)
    distinct = len(values.texts)
    lengths = np.array([len(text) for text, _ in values.by_count] or [0])
    if distinct > MOST_LEVELS and (distinct > values.filled / 2 or lengths.mean() > 40):
        draft.type = "text"
        draft.facts.append(f"{distinct:,} different texts, such as {_short(values.by_count[0][0])}")
        return
    rare = sum(count for _, count in values.by_count if count < FEW_ROWS)
    is_listed = distinct <= FEW_LEVELS or (distinct <= MOST_LEVELS and rare <= values.filled * 0.05)
    top = ", ".join(f"{_short(text)} {count:,}" for text, count in values.by_count[:6])
    draft.facts.append(
        f"{distinct:,} level{'s' * (distinct != 1)}: {top}" + " ..." * (distinct > 6)
    )
    if is_listed:
        draft.fields["levels"] = [text for text, _ in values.by_count]
        if distinct == 1 or values.by_count[-1][1] < SURE_LEVEL_ROWS:
            draft.fields["open_levels"] = True
    else:
        draft.fields["levels"] = "free"
    folded = {text.casefold() for text, _ in values.by_count}
    if len(folded) < distinct:
        draft.todos.append("some levels differ by letter case only: set ignore_case: true?")
    unknown = [text for text, _ in values.by_count if text in CODES]
    if unknown and not values.match(PLAIN).all():
        draft.todos.append(f"does {_quoted(unknown)} mean unknown? Then null_tokens")
    with_numbers = values.share(values.match(SPAN))
    if with_numbers > 0.9 and 2 < distinct <= MOST_LEVELS:
        draft.facts.append("the levels hold a number, which a feature can read: number_in(...)")


def _quoted(texts: list[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


def _shown(number: float) -> str:
    """Return a number for a remark: a year without separators, large numbers without decimals."""
    is_whole = float(number).is_integer()
    if is_whole and 1900 <= number <= 2100:
        return f"{number:.0f}"
    return f"{number:,.0f}" if is_whole or abs(number) >= 1000 else f"{number:.4g}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 30 else line[:27] + "..."


def _percent(share: float) -> str:
    return "100 %" if share == 1 else f"{share * 100:.2g} %" if share < 0.995 else "almost all"
