"""Name personas after what their members have.

A name consists of phrases such as "high income (USD per month)". Each phrase is true of more than
half of the members. The phrases that fewest other applicants share come first, and a phrase that
repeats an earlier one comes last: a loan of a high amount is usually for a property of high value.

Of a number, "low", "middling" and "high" are the thirds of all known values, and "lower" and
"higher" are the halves below and above the median.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from loan_scoring.contract import Column, Contract
from loan_scoring.models.layout import MISSING, RARE

MOST = 0.5
"""A phrase is true of a persona if it is true of more than this share of the members."""
RARE_SHARE = 0.01
"""A level with a smaller share of the applicants is rare, as in the scaling before the clusters."""
PHRASES = 2
"""The number of phrases in a name. Names that would be equal get more."""
TRAITS = 4
"""The largest number of phrases that are recorded with a persona."""
LEAST_LIFT = 0.1
"""A phrase that says nearly as much of all others is left out, unless names would be equal."""
ALIKE = 0.5
"""A phrase repeats another phrase if the correlation of the two among all applicants is above this.

It is the correlation of two columns of yes and no (phi coefficient).
"""
COMMON_SHARE = 1 / 3
"""A single value of a number is named if at least this share of the known values equals it."""
PAIRED_LEVELS = 8
"""The number of most frequent levels of which a phrase may name two."""
MIXED = "mixed applicants"
"""The name of a persona of whose members no phrase is true."""
YES, NO = {"y", "yes", "t", "true", "1"}, {"n", "no", "f", "false", "0"}
"""Levels of a category that is a flag, in lower case."""


@dataclass(frozen=True)
class Statement:
    """A phrase, and for each applicant whether the phrase is true, shape (rows,)."""

    phrase: str
    is_true: np.ndarray


@dataclass(frozen=True)
class Told:
    """A phrase that is true of most members of a persona.

    `share` is the share of members of whom the phrase is true, `others` is this share of all other
    applicants. `is_true` is as in `Statement`.
    """

    column: str
    phrase: str
    share: float
    others: float
    is_true: np.ndarray

    @property
    def lift(self) -> float:
        """The share of members minus the share of all others."""
        return self.share - self.others


def name_clusters(told: list[list[Told]], kept: Mapping[int, str] | None = None) -> list[str]:
    """Return a unique name for each cluster.

    Args:
        told: all true phrases of each cluster, as `tell_clusters` returns them.
        kept: names to take over from the champion's personas, by cluster number. A name is taken
            over if all its phrases are true of the cluster.
    """
    names: dict[int, str] = {
        number: name
        for number, name in (kept or {}).items()
        if is_made_of(re.sub(r" \(\d+\)$", "", name), {each.phrase for each in told[number]})
    }
    new = {number: _distinct(found) for number, found in enumerate(told) if number not in names}
    phrases = {number: [each.phrase for each in found] or [MIXED] for number, found in new.items()}
    lengths = {
        number: max(1, sum(each.lift >= LEAST_LIFT for each in found[:PHRASES]))
        for number, found in new.items()
    }
    while True:
        names |= {number: ", ".join(phrases[number][:n]) for number, n in lengths.items()}
        counts = Counter(names.values())
        longer = [
            number for number, n in lengths.items()
            if counts[names[number]] > 1 and n < len(phrases[number])
        ]  # fmt: skip
        if not longer:
            break
        lengths |= {number: lengths[number] + 1 for number in longer}
    return _numbered([names[number] for number in range(len(told))], set(phrases))


def describe_traits(told: list[Told]) -> list[dict[str, Any]]:
    """Return what sets a persona apart: at most TRAITS phrases with the shares that have them.

    Args:
        told: all true phrases of the cluster, as `tell_clusters` returns them.
    """
    return [
        {"phrase": each.phrase, "share": each.share, "others": each.others}
        for each in _distinct(told)[:TRAITS]
        if each.lift >= LEAST_LIFT
    ]


def is_made_of(name: str, phrases: set[str]) -> bool:
    """Return whether a name consists of these phrases only.

    >>> is_made_of("low age (years), region a, b", {"region a, b", "low age (years)"})
    True
    """
    return name in phrases or any(
        name.startswith(f"{phrase}, ") and is_made_of(name[len(phrase) + 2 :], phrases)
        for phrase in phrases
    )


def _numbered(names: list[str], new: set[int]) -> list[str]:
    """Return the names, with a number added to new names that still occur twice."""
    taken = {name for number, name in enumerate(names) if number not in new}
    for number in sorted(new):
        name, count = names[number], 1
        while names[number] in taken:
            count += 1
            names[number] = f"{name} ({count})"
        taken.add(names[number])
    return names


def tell_clusters(
    contract: Contract, X: pd.DataFrame, clusters: np.ndarray, count: int
) -> list[list[Told]]:
    """Return for each cluster the phrases that are true of most members, the strongest first.

    Args:
        contract: contract with the labels of the columns.
        X: training set, as `feature_frame` returns it.
        clusters: cluster number of each row, shape (rows,).
        count: number of clusters.
    """
    sizes = np.bincount(clusters, minlength=count)
    others = len(clusters) - sizes
    told: list[list[Told]] = [[] for _ in sizes]
    say = labels(contract, list(X.columns))
    for name in X.columns:
        for each in statements(contract.by_name[name], say[name], X[name]):
            inside = np.bincount(clusters, weights=each.is_true, minlength=count)
            share = inside / np.maximum(sizes, 1)
            rest = (inside.sum() - inside) / np.maximum(others, 1)
            for number in np.flatnonzero(share > MOST):
                told[number].append(
                    Told(name, each.phrase, float(share[number]), float(rest[number]), each.is_true)
                )
    return [sorted(each, key=lambda one: -one.lift) for each in told]


def _distinct(told: list[Told]) -> list[Told]:
    """Return the strongest phrase of each column. Phrases that repeat stronger ones come last."""
    seen: set[str] = set()
    first: list[Told] = []
    repeated: list[Told] = []
    for each in told:
        if each.column not in seen:
            seen.add(each.column)
            is_new = all(_phi(each.is_true, one.is_true) <= ALIKE for one in first)
            (first if is_new else repeated).append(each)
    return first + repeated


def _phi(one: np.ndarray, two: np.ndarray) -> float:
    """Return the correlation of two boolean arrays, or 0 if one of them is constant.

    >>> _phi(np.array([True, True, False, False]), np.array([True, False, False, False]))
    0.5773502691896258
    """
    rows, a, b, both = len(one), int(one.sum()), int(two.sum()), int((one & two).sum())
    spread = float(a * (rows - a) * b * (rows - b))
    return (rows * both - a * b) / spread**0.5 if spread else 0.0


def labels(contract: Contract, names: list[str]) -> dict[str, str]:
    """Return how names of personas call each column: its label, and the name if two are alike."""
    found = {name: _lower(contract.by_name[name].label) for name in names}
    counts = Counter((label, contract.by_name[name].unit) for name, label in found.items())
    return {
        name: label if counts[label, contract.by_name[name].unit] == 1 else f"{label} [{name}]"
        for name, label in found.items()
    }


def statements(column: Column, label: str, values: pd.Series) -> Iterator[Statement]:
    """Yield the phrases about one column.

    Args:
        column: column of the contract.
        label: how the phrases call the column.
        values: values of the column, as in `feature_frame`.
    """
    is_null = values.isna().to_numpy()
    yield Statement(f"{label} {MISSING}", is_null)
    if is_null.all():
        return
    if values.dtype == object:
        yield from _of_levels(column, label, values, is_null)
    elif set(values[~is_null].unique()) <= {0.0, 1.0}:
        yield from _of_flag(label, lambda yes: (values == (1.0 if yes else 0.0)).to_numpy())
    else:
        yield from _of_number(label, column.unit, values.to_numpy(), is_null)


def _of_number(
    label: str, unit: str | None, values: np.ndarray, is_null: np.ndarray
) -> Iterator[Statement]:
    known = values[~is_null]
    low, middle, high = np.quantile(known, [1 / 3, 1 / 2, 2 / 3])
    measured = f"{label} ({unit})" if unit else label
    # Comparisons with nan are False, so a phrase about a size is never true of a null.
    yield Statement(f"high {measured}", values > high)
    yield Statement(f"low {measured}", values < low)
    yield Statement(f"middling {measured}", (low <= values) & (values <= high) & (low < high))
    yield Statement(f"higher {measured}", values > middle)
    yield Statement(f"lower {measured}", values < middle)
    found, counts = np.unique(known, return_counts=True)
    for value in found[counts >= COMMON_SHARE * len(known)]:
        text = f"{value:,.10g}" + (f" {unit}" if unit else "")
        yield Statement(f"{label} {text}", values == value)


def _of_levels(
    column: Column, label: str, values: pd.Series, is_null: np.ndarray
) -> Iterator[Statement]:
    words = column.level_labels
    codes, levels = pd.factorize(values)
    if {level.casefold() for level in levels} <= YES | NO and not words:
        is_yes = np.array([level.casefold() in YES for level in levels])[codes]
        yield from _of_flag(label, lambda yes: (is_yes == yes) & ~is_null)
        return
    counts = np.bincount(codes[~is_null], minlength=len(levels))
    own = [place for place in np.argsort(-counts) if counts[place] >= RARE_SHARE * len(values)]
    shown = {place: _shown(words.get(levels[place], levels[place])) for place in own}
    for place in own:
        yield Statement(f"{label} {shown[place]}", codes == place)
    # A persona may have two levels of which neither is true of most members.
    for one, two in combinations(own[:PAIRED_LEVELS], 2):
        yield Statement(f"{label} {shown[one]} or {shown[two]}", (codes == one) | (codes == two))
    if len(own) < len(levels):
        yield Statement(f"{RARE} {label}", ~is_null & ~np.isin(codes, own))


def _of_flag(label: str, are: Callable[[bool], np.ndarray]) -> Iterator[Statement]:
    """Yield the phrases about a flag.

    >>> nothing = lambda yes: np.array([yes])
    >>> [each.phrase for each in _of_flag("backed by real estate", nothing)]
    ['most are backed by real estate', 'most are not backed by real estate']
    >>> [each.phrase for each in _of_flag("has a phone", nothing)]
    ['most have a phone', 'most do not have a phone']
    >>> [each.phrase for each in _of_flag("credit line", nothing)]
    ['most with credit line', 'most without credit line']
    """
    first, _, rest = label.partition(" ")
    if first in ("is", "are"):
        yes, no = f"most are {rest}", f"most are not {rest}"
    elif first in ("has", "have"):
        yes, no = f"most have {rest}", f"most do not have {rest}"
    elif first.endswith("ed") and not first.endswith("eed"):
        yes, no = f"most are {label}", f"most are not {label}"
    else:
        yes, no = f"most with {label}", f"most without {label}"
    yield Statement(yes, are(True))
    yield Statement(no, are(False))


def _shown(level: str) -> str:
    """Return a level for a phrase, in quotes if it spells the word for a null."""
    return f"'{level}'" if level == MISSING else level


def _lower(label: str) -> str:
    """Return a label with a small first letter, unless it begins with an abbreviation."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]
