"""Turn readings into values by the contract, and say why a field is doubtful.

Confidence alone does not find wrong readings. So a value passes only if two readings agree, it is
written as the contract writes it, its check digits fit, and the row keeps every row rule.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import KEY, Column, Contract
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.row_rules import RowRules
from loan_scoring.scans.check_digits import without_check_digits
from loan_scoring.scans.layout import Box, Layout
from loan_scoring.scans.levels import nearest_level
from loan_scoring.scans.recognise import Reading

PLAIN = {"integer": r"-?(0|[1-9][0-9]*)", "number": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"}
"""How a number without a notation of its own is written. No other way is read: `346.500` for the
integer `346,500` is not."""

LEVEL_CONFIDENCE = {False: 0.5, True: 0.3}
"""Confidence that is enough for a level, because both readings must mean it: less if every other
level is at least two signs away."""
FARTHEST = 2.0
"""A level at a higher cost is not even proposed."""


@dataclass(frozen=True)
class ReadField:
    """A field of a page: its text as a file would have it, and what makes it doubtful.

    `scans.doubts` has the doubts in words.

    `cost` is what it costs to take the reading for the level that `text` has; None if the column
    has no levels.
    """

    column: str
    text: str
    read: str
    confidence: float
    cost: float | None = None
    doubts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the field as it is stored."""
        return {
            "text": self.text, "read": self.read, "confidence": round(self.confidence, 4),
            "cost": self.cost, "doubts": list(self.doubts),
        }  # fmt: skip


@dataclass(frozen=True)
class ReadPage:
    """The fields of a page in the order of the form, and the key if it can be read."""

    fields: dict[str, ReadField] = field(default_factory=dict)
    key: int | str | None = None

    @property
    def doubtful(self) -> list[str]:
        """The columns of which at least one thing is doubtful."""
        return [name for name, each in self.fields.items() if each.doubts]


def judge_page(contract: Contract, layout: Layout, readings: Sequence[Reading]) -> ReadPage:
    """Return the fields of a page, judged one by one and together by the row rules."""
    assert contract.scan_form is not None  # noqa: S101 - a layout needs a form
    least = contract.scan_form.min_confidence
    fields = {
        box.column.name: _judged(box, reading, least)
        for box, reading in zip(layout.boxes, readings, strict=True)
    }
    broken, key = broken_rules(contract, {name: each.text for name, each in fields.items()})
    for name, rules in broken.items():
        if name in fields:
            doubts = tuple(dict.fromkeys([*fields[name].doubts, *rules]))
            fields[name] = replace(fields[name], doubts=doubts)
    return ReadPage(fields, key)


def broken_rules(
    contract: Contract, texts: Mapping[str, str]
) -> tuple[dict[str, list[str]], int | str | None]:
    """Return the row rules that an application breaks by column, and its key if it can be read.

    All columns of a ratio that is broken are named, because any of them may be wrong.
    """
    table = {
        source: pa.array([texts.get(column.name, "")], pa.string())
        for column in contract.columns
        for source in column.sources
    }
    block = Block(pa.table(table), np.array([1], dtype=np.int64), [])
    accepted, rejected = RowRules(contract).apply(block)
    broken: dict[str, list[str]] = {}
    ratios = {each.name: each for each in contract.ratios}
    for rule in [rule for row in rejected for rule in row.rules]:
        name, _, column = rule.partition(":")
        ratio = ratios.get(name)
        hit = [ratio.column, ratio.numerator, ratio.denominator] if ratio else [column]
        for each in hit:
            broken.setdefault(each, []).append(f"row_rule:{name}")
    return broken, rejected[0].key if rejected else accepted.column(KEY)[0].as_py()


def _judged(box: Box, reading: Reading, least: float) -> ReadField:
    name, column = box.column.name, box.column
    if not reading.has_ink:
        return ReadField(name, "", "", 1.0)
    first, second = _value(box, reading.text), _value(box, reading.second)
    doubts = list(first.doubts)
    if not reading.text:
        doubts.append("unreadable")
    if reading.confidence < min(least, first.enough):
        doubts.append("unsure")
    if first.text != second.text or (_levels(column) and second.doubts):
        doubts.append("two_readings")
    if reading.is_cut_off:
        doubts.append("cut_off")
    return ReadField(name, first.text, reading.text, reading.confidence, first.cost, tuple(doubts))


@dataclass(frozen=True)
class _Value:
    """What one reading means. `enough` is the confidence that it needs at most."""

    text: str
    doubts: tuple[str, ...] = ()
    cost: float | None = None
    enough: float = 1.0


def _value(box: Box, read: str) -> _Value:
    """Return the text as a file has it, and what is doubtful about it."""
    column, text = box.column, " ".join(read.split())
    doubts: tuple[str, ...] = ()
    if box.has_check_digits:
        text, fits = without_check_digits(_bare(text))
        doubts = () if fits else ("check_digits",)
    if text in column.null_tokens:
        return _Value(text, doubts)
    if column.is_numeric:
        if column.has_notation:
            return _Value(text, doubts)
        bare = _bare(text)
        pattern = PLAIN["integer" if column.type == "integer" else "number"]
        return _Value(bare, doubts if re.fullmatch(pattern, bare) else (*doubts, "notation"))
    if column.type in ("date", "datetime", "uuid"):
        return _Value(text, doubts)
    found = nearest_level(text, _levels(column))
    if found is None or found.cost > FARTHEST:
        # Nothing can tell a wrong reading of a free text from a right one, but check digits.
        is_free = found is None and box.has_check_digits
        return _Value(text, doubts if is_free else (*doubts, "no_level"))
    enough = LEVEL_CONFIDENCE[found.margin >= 2]
    more = () if found.is_certain else ("level",)
    return _Value(found.level, doubts + more, found.cost, enough)


def _levels(column: Column) -> list[str]:
    if column.type == "boolean":
        return [each for texts in column.texts for each in texts]
    return column.listed_levels


def _bare(text: str) -> str:
    return "".join(text.split())
