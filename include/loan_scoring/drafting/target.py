"""Find the column that says which loans defaulted, and sort its states."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from loan_scoring.drafting.hints import listed
from loan_scoring.drafting.values import Values
from loan_scoring.drafting.words import words_of
from loan_scoring.errors import SourceError

UNKNOWN = "TODO outcome"
"""The source of a target that the draft did not find."""
MOST_STATES = 20
DEFAULTED = re.compile(
    r"\bcharged?.?off|\bchg.?off|\bdefault|\bbad\b|foreclos|repossess|write.?off|written.?off"
    r"|bankrupt|\bloss\b|non.?performing",
    re.IGNORECASE,
)
PAID = re.compile(
    r"\bpaid\b|^p ?i ?f$|\bgood\b|repaid|prepaid|matured|non.?default|no.?default", re.IGNORECASE
)
OPEN = re.compile(
    r"current|\blate\b|grace|issued|active|^open$|running|pending|in repayment|performing",
    re.IGNORECASE,
)
NAMES = {
    "default": 4, "defaulted": 4, "target": 4, "outcome": 4, "dlqin": 4, "bad": 4, "label": 3,
    "status": 3, "class": 3, "classification": 3, "chargeoff": 2,
}  # fmt: skip
OTHER_STATUS = listed(
    """
    verification settlement hardship marital account personal employment
    """
)
DEFAULT_NAMES = frozenset(["default", "defaulted", "dlqin", "delinquent", "bad", "chargeoff"])
LEAST_SCORE = 3
PAIRS = {"1": "0", "y": "n", "yes": "no", "t": "f", "true": "false"}


@dataclass
class TargetDraft:
    """The drafted target: its column, its states by meaning, and what a person must decide."""

    source: str | int
    positive: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    states: list[tuple[str, int]] = field(default_factory=list)
    is_found: bool = True

    def outcomes(self, values: Values) -> np.ndarray:
        """Return 1 for a default, 0 for a paid loan and -1 for no outcome, shape (rows,)."""
        meaning = dict.fromkeys(self.positive, 1) | dict.fromkeys(self.negative, 0)
        by_text = np.array([meaning.get(text, -1) for text in values.texts.to_pylist()] + [-1])
        return np.asarray(by_text[values.codes])


def draft_target(columns: Mapping[str | int, Values], chosen: str | int | None) -> TargetDraft:
    """Return the draft of the target.

    Args:
        columns: values of every column of the file.
        chosen: the target's column. If None, the most likely column is taken, if there is one.

    Raises:
        SourceError: the file lacks the chosen column, or the column has too many values.
    """
    if chosen is not None:
        if chosen not in columns:
            raise SourceError(
                f"the file has no column '{chosen}'; its columns are {', '.join(map(str, columns))}"
            )
        count = len(columns[chosen].texts)
        if not 2 <= count <= MOST_STATES:
            raise SourceError(
                f"column '{chosen}' has {count:,} different texts; a target has 2 to {MOST_STATES} "
                "states, such as paid and defaulted"
            )
        return _sorted(chosen, columns[chosen])
    scores = {source: _score(source, values) for source, values in columns.items()}
    best = max(scores, key=lambda source: scores[source], default="")
    if scores.get(best, 0) < LEAST_SCORE:
        return TargetDraft(UNKNOWN, ["1"], ["0"], is_found=False)
    return _sorted(best, columns[best])


def _score(source: str | int, values: Values) -> int:
    """Return how likely a column is the target: by its header, its states and their number."""
    words = words_of(source)
    if not 2 <= len(values.texts) <= MOST_STATES or not OTHER_STATUS.isdisjoint(words):
        return 0
    texts = values.texts.to_pylist()
    points = max((NAMES.get(word, 0) for word in words), default=0)
    named = any(map(DEFAULTED.search, texts)) and any(map(PAID.search, texts))
    return points + 3 * named + (len(texts) == 2) + (len(words) == 1 and points > 0)


def _sorted(source: str | int, values: Values) -> TargetDraft:
    """Sort the states of the target: by their words, else the rarest one is the default."""
    states = values.by_count
    found = TargetDraft(source, states=states)
    unclear = []
    for text, _ in states:
        if PAID.search(text) and not re.search(r"\bnot? (re)?paid", text, re.IGNORECASE):
            found.negative.append(text)
        elif DEFAULTED.search(text):
            found.positive.append(text)
        elif OPEN.search(text):
            found.open.append(text)
        else:
            unclear.append(text)
    pair = {_plain(text): text for text in unclear}
    for yes, no in PAIRS.items():
        # A header such as default says what yes means. Without one, default is the rarer state.
        if {yes, no} == set(pair) and not DEFAULT_NAMES.isdisjoint(words_of(source)):
            unclear = [pair[no], pair[yes]]
    if not found.negative and unclear:
        found.negative.append(unclear.pop(0))
    if not found.positive and unclear:
        found.positive.append(unclear.pop())
    if not found.positive or not found.negative:
        spare = found.open
        (found.positive if not found.positive else found.negative).append(spare.pop())
    found.open += unclear
    blank = values.rows - values.filled
    if blank:
        found.open.append("")
        found.states = [*states, ("", blank)]
    return found


def _plain(text: str) -> str:
    return re.sub(r"\.0+$", "", text.lower())
