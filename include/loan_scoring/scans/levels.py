"""Find the level that a reading most likely means, and what the difference costs."""

from collections.abc import Sequence
from dataclasses import dataclass

SEPARATORS = (",.", "-_")
ALIKE = (
    "1lI|i!", "0OoQD", "5Ss", "2Zz", "8B", "6bG", "9gq", "Cc", "Uu", "Vv", "Ww", "Xx", "Kk", "Pp",
    *SEPARATORS,
)  # fmt: skip
"""Signs that scanners and readers take for each other."""
ALIKE_COST = 0.2
MOST_COST = 0.5
"""A level at a higher cost is only proposed to a person."""
LEAST_MARGIN = 0.8
"""A level is only proposed too if another level costs less than this more."""


@dataclass(frozen=True)
class Nearest:
    """A level, what it costs to read it so, and how much more the next level costs."""

    level: str
    cost: float
    margin: float

    @property
    def is_certain(self) -> bool:
        """Whether the reading can mean this level only."""
        return self.cost <= MOST_COST and self.margin >= LEAST_MARGIN


def nearest_level(text: str, levels: Sequence[str]) -> Nearest | None:
    """Return the level at the least cost. Return None if there are no levels. Blanks do not count.

    >>> nearest_level("typel", ["type1", "type2"])
    Nearest(level='type1', cost=0.2, margin=0.8)
    >>> nearest_level("p8", ["p1", "p3"]).is_certain
    False
    """
    ranked = sorted((edit_cost(_bare(text), _bare(level)), level) for level in levels)
    if not ranked:
        return None
    cost, level = ranked[0]
    margin = ranked[1][0] - cost if len(ranked) > 1 else float(len(level))
    return Nearest(level, round(cost, 2), round(margin, 2))


def edit_cost(read: str, meant: str) -> float:
    """Return the cost to change one text into another.

    1 for each sign that is added, left out or replaced, ALIKE_COST for one that looks alike.
    """
    row = [float(place) for place in range(len(meant) + 1)]
    for place, sign in enumerate(read, 1):
        before, row = row, [float(place)]
        for other, wanted in enumerate(meant, 1):
            row.append(
                min(before[other] + 1, row[-1] + 1, before[other - 1] + _replaced(sign, wanted))
            )
    return row[-1]


def _replaced(sign: str, wanted: str) -> float:
    if sign == wanted:
        return 0.0
    alike = sign.casefold() == wanted.casefold() or any(
        sign in group and wanted in group for group in ALIKE
    )
    return ALIKE_COST if alike else 1.0


def _bare(text: str) -> str:
    return "".join(text.split())
