"""Cut loans into segments: by persona, and by the groups of declared columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loan_scoring.contract import Contract
from loan_scoring.contract.grades import BY_GRADE
from loan_scoring.contract.protected import group_order
from loan_scoring.statistics.fairness import NOT_STATED
from loan_scoring.statistics.labels import Labels

PERSONA = "persona"
"""Name of the segmentation by persona, which every batch has."""
OTHER = "other levels"
FEWEST, MOST = 30, 12
"""Levels with fewer than FEWEST loans, and the smallest levels beyond MOST, are pooled."""


@dataclass(frozen=True)
class Segmentation:
    """The segments of all loans by one column. `code` is the index in `names`, shape (rows,)."""

    segmented_by: str
    names: list[str]
    code: np.ndarray


def segmentations(
    contract: Contract, personas: Labels, levels: Mapping[str, Labels]
) -> list[Segmentation]:
    """Return the ways in which a batch is cut into segments.

    Args:
        contract: contract with the columns of `performance.segments`.
        personas: persona of each loan.
        levels: level of each loan, for each column of `performance.segments`, and its grade.
    """
    found = [pool_levels(PERSONA, personas, [])]
    if BY_GRADE in levels:
        found.append(_by_grade(levels[BY_GRADE]))
    for name, bands in contract.segment_bands.items():
        order = group_order(contract.by_name[name], bands)
        found.append(pool_levels(name, levels[name], order))
    return found


def pool_levels(segmented_by: str, levels: Labels, order: Sequence[str]) -> Segmentation:
    """Return the segments of a column, with small levels pooled as OTHER.

    Args:
        segmented_by: name of the column.
        levels: level of each loan. NOT_STATED is a segment of its own.
        order: levels in the order of the contract. Other levels follow, sorted by name.
    """
    found, code = levels.names, levels.codes
    loans = np.bincount(code, minlength=len(found))
    present = [each for each in range(len(found)) if loans[each]]
    largest = sorted(present, key=lambda each: (-loans[each], found[each]))[:MOST]
    rank = {name: place for place, name in enumerate(order)}
    kept = sorted(
        (found[each] for each in largest if loans[each] >= FEWEST),
        key=lambda name: (rank.get(name, len(rank)), name == NOT_STATED, name),
    )
    names = [*kept, OTHER] if len(kept) < len(present) else kept
    new = {name: place for place, name in enumerate(kept)}
    moved = np.array([new.get(name, len(kept)) for name in found], dtype=int)
    return Segmentation(segmented_by, names, moved[code])


def _by_grade(grades: Labels) -> Segmentation:
    """Return the segments by grade. Small grades are not pooled, as their tests are exact."""
    loans = np.bincount(grades.codes, minlength=len(grades.names))
    kept = np.flatnonzero(loans)
    new = np.zeros(len(loans), dtype=int)
    new[kept] = np.arange(len(kept))
    return Segmentation(BY_GRADE, [grades.names[place] for place in kept], new[grades.codes])
