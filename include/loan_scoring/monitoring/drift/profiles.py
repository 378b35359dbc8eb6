"""Describe the values of a column in one night, independently of any model.

A model's bins and levels change with every training. The shares of a night in the bins of any model
follow from the night's profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from loan_scoring.statistics.distribution import Distribution

POINTS = 101
"""Number of percentiles, from the lowest to the highest value, whose counts are kept."""
LEVELS = 50
"""Maximum number of levels of a category that are kept, the most frequent ones."""


@dataclass(frozen=True)
class NightProfile:
    """One column of the batch of one night."""

    day: date
    values: Mapping[str, Any]
    """Profile from `number_profile` or `category_profile`."""

    @property
    def rows(self) -> int:
        """Number of rows of the batch."""
        return int(self.values["rows"])

    @property
    def nulls(self) -> int:
        """Number of rows without a value."""
        return int(self.values["nulls"])

    @property
    def present(self) -> int:
        """Number of rows with a value."""
        return self.rows - self.nulls


def number_profile(batch: Distribution, nulls: int) -> dict[str, Any]:
    """Return the profile of a numeric column, ready for JSON.

    The profile has `rows`, `nulls`, and for each percentile the value (`points`), the number of
    smaller values (`below`) and the number of values that are not larger (`up_to`). Equal
    percentiles are kept once. So a value of at least 1 % of the rows has exact counts.

    >>> number_profile(Distribution.of(np.array([1.0, 1.0, 7.0])), 2)["up_to"]
    [2, 3]
    """
    found: dict[str, Any] = {"rows": batch.size + nulls, "nulls": nulls}
    ranks = np.ceil(np.linspace(0, 1, POINTS) * batch.size).clip(min=1)
    places = np.unique(np.searchsorted(batch.up_to[1:], ranks * bool(batch.size)))
    places = places[: batch.size]
    return found | {
        "points": batch.values[places].tolist(),
        "below": batch.up_to[places].tolist(),
        "up_to": batch.up_to[places + 1].tolist(),
    }


def category_profile(counts: Mapping[str, int], nulls: int) -> dict[str, Any]:
    """Return the profile of a categorical column, ready for JSON: `rows`, `nulls` and `levels`.

    Args:
        counts: number of rows of each level, the most frequent level first.
        nulls: number of rows without a value.
    """
    kept = dict(list(counts.items())[:LEVELS])
    return {"rows": sum(counts.values()) + nulls, "nulls": nulls, "levels": kept}


def shares_below(profile: Mapping[str, Any], edges: np.ndarray) -> np.ndarray:
    """Return the share of a numeric column's values below each edge, shape (edges,).

    Between two points of the profile the share is interpolated.
    """
    points, below, up_to = (np.asarray(profile[key], float) for key in ("points", "below", "up_to"))
    total = up_to[-1]
    place = np.searchsorted(points, edges)  # the first point that is not below the edge
    left, right = (place - 1).clip(0), place.clip(max=len(points) - 1)
    width = points[right] - points[left]
    along = np.divide(edges - points[left], width, out=np.ones(len(edges)), where=width > 0)
    found = up_to[left] + along * (below[right] - up_to[left])
    found = np.where(points[right] == edges, below[right], found)
    found = np.where(place == 0, 0.0, np.where(place == len(points), total, found))
    return np.asarray(found / total)


def level_shares(profile: Mapping[str, Any], levels: list[str]) -> np.ndarray:
    """Return the share of each level, and of all others as the last cell, shape (levels + 1,)."""
    present = profile["rows"] - profile["nulls"]
    counts = [profile["levels"].get(level, 0) for level in levels]
    return np.asarray(np.array([*counts, present - sum(counts)]) / present)
