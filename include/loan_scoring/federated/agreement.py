"""Agree on one encoding at all sites, from sums of counts.

A site counts its loans in cells whose limits do not come from its data. Counts of fewer than
`min_loans` loans are sent as 0. From the sums the server computes edges, knots and levels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer

from loan_scoring.models.binning import BinnedLevels, BinnedNumbers, weights_of_evidence

Scheme = dict[str, Any]
"""`numbers` and `categories` (names), `levels`, `edges`, `knots` and `cuts` by name, `rate`. For a
scorecard also `loans` and `defaults` by name and bin.
"""

_POWERS = 2.0 ** np.arange(-10, 40.5, 0.5)
COARSE = np.concatenate([-_POWERS[::-1], [0.0], _POWERS])
"""Limits of the cells of the first count, the same for every number of every lender."""
FINE_CELLS, NOISY_CELLS = 256, 32
"""Cells of the second count, without and with noise: noise adds up over cells."""
MOST_EDGES, KNOTS, BINS = 63, 5, 8


def fine_edges(low: float, high: float, cells: int) -> np.ndarray:
    """Return the limits of the cells of the second count, between two quantiles of the first."""
    return np.linspace(low, max(high, low + 1e-9 * max(1.0, abs(low))), cells + 1)


def count_cells(values: np.ndarray, edges: np.ndarray, min_loans: int) -> np.ndarray:
    """Return how many values are in each cell, shape (len(edges) + 1,). Nulls are not counted."""
    places = np.searchsorted(edges, values[~np.isnan(values)], side="right")
    return hide_small(np.bincount(places, minlength=len(edges) + 1), min_loans)


def count_levels(values: pd.Series, levels: Sequence[str], min_loans: int) -> np.ndarray:
    """Return how many values equal each level, shape (len(levels),). Other levels are not sent."""
    counts = values.value_counts()
    found = np.array([counts.get(level, 0) for level in levels], dtype=float)
    return hide_small(found, min_loans)


def hide_small(counts: np.ndarray, min_loans: int) -> np.ndarray:
    """Return counts with 0 in place of those below `min_loans`."""
    return np.where(counts < min_loans, 0.0, counts).astype(float)


def quantiles(counts: np.ndarray, edges: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return quantiles of values that are known only by their counts in cells.

    Values are taken as spread evenly in their cell, and those outside all cells as at its end.
    """
    up_to = np.maximum.accumulate(np.cumsum(counts))  # noise may have made a count negative
    return np.asarray(np.interp(shares * max(float(up_to[-1]), 1e-12), up_to[:-1], edges))


def increasing(values: np.ndarray) -> list[float]:
    """Return values with ties spread by a thousandth of the range, because knots must increase."""
    step = max(float(values[-1] - values[0]), 1e-3) * 1e-3
    found = [float(values[0])]
    for value in values[1:]:
        found.append(max(float(value), found[-1] + step))
    return found


def agree_numbers(scheme: Scheme, name: str, counts: np.ndarray, edges: np.ndarray) -> None:
    """Write edges, knots and cuts of a number into the scheme, from its second count."""
    spread = quantiles(counts, edges, np.linspace(0.005, 0.995, MOST_EDGES))
    scheme["edges"][name] = sorted({float(np.float32(each)) for each in spread})
    scheme["knots"][name] = increasing(quantiles(counts, edges, np.linspace(0.01, 0.99, KNOTS)))
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    scheme["cuts"][name] = sorted(set(quantiles(counts, edges, inner).tolist()))


def with_directions(scheme: Scheme, directions: dict[str, int]) -> Scheme:
    """Return a scorecard's scheme without cuts at which the evidence goes against a direction."""
    for name, sign in directions.items():
        while name in scheme["cuts"] and scheme["cuts"][name]:
            loans = np.array(scheme["loans"][name])
            defaults = np.array(scheme["defaults"][name])
            evidence = weights_of_evidence(loans, defaults)[: len(scheme["cuts"][name]) + 1]
            steps = sign * np.diff(evidence)
            if steps.min() >= 0:
                break
            worst = int(np.argmin(steps))
            del scheme["cuts"][name][worst]
            for part in (loans, defaults):
                part[worst] += part[worst + 1]
            scheme["loans"][name] = np.delete(loans, worst + 1).tolist()
            scheme["defaults"][name] = np.delete(defaults, worst + 1).tolist()
    return scheme


def build_encoder(scheme: Scheme, algorithm: str) -> ColumnTransformer:
    """Return the fitted encoder of a scheme. Nothing of it comes from the rows of one site."""
    numbers, categories = scheme["numbers"], scheme["categories"]
    levels = [[*scheme["levels"][name], np.nan] for name in categories]
    encode_numbers: Any = "passthrough"
    encode_levels: Any
    if algorithm == "logistic_regression":
        knots = np.array([scheme["knots"][name] for name in numbers]).T
        encode_numbers = SplineTransformer(
            knots=knots, extrapolation="constant", handle_missing="zeros"
        )
        encode_levels = OneHotEncoder(
            categories=levels, handle_unknown="ignore", sparse_output=False
        )
    else:
        encode_levels = OrdinalEncoder(
            categories=levels, handle_unknown="use_encoded_value", unknown_value=np.nan
        )
    encoder = ColumnTransformer(
        [("numbers", encode_numbers, numbers), ("categories", encode_levels, categories)]
    )
    # Two rows of no loan, because scikit-learn wants to see columns before it transforms any.
    rows = {name: [scheme["edges"][name][0], scheme["edges"][name][-1]] for name in numbers}
    rows |= {name: [each[0], each[0]] for name, each in zip(categories, levels, strict=True)}
    frame = pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))
    frame = frame.astype(dict.fromkeys(categories, object))
    encoder.fit(frame)
    if algorithm == "scorecard":
        # Bins come from counts, not from a fit. Like the parts that they replace, they make one
        # column of each.
        encoder.transformers_ = [
            ("numbers", binned_numbers(scheme), numbers),
            ("categories", binned_levels(scheme), categories),
        ]
    return encoder


def binned_numbers(scheme: Scheme) -> BinnedNumbers:
    """Return the bins of all numbers, with weights of evidence where the scheme has counts."""
    part = BinnedNumbers(special_codes=[[] for _ in scheme["numbers"]])
    part.cuts_ = [scheme["cuts"][name] for name in scheme["numbers"]]
    _count(part, scheme, scheme["numbers"])
    return part


def binned_levels(scheme: Scheme) -> BinnedLevels:
    """Return the bins of all categories: each level one, then other levels, then null."""
    part = BinnedLevels()
    part.categories_ = [scheme["levels"][name] for name in scheme["categories"]]
    part.groups_ = [list(range(len(levels))) for levels in part.categories_]
    _count(part, scheme, scheme["categories"])
    return part


def _count(part: Any, scheme: Scheme, names: Sequence[str]) -> None:
    if "loans" in scheme:
        part.loans_ = [np.array(scheme["loans"][name]) for name in names]
        part.defaults_ = [np.array(scheme["defaults"][name]) for name in names]
        part.woe_ = [
            weights_of_evidence(*each) for each in zip(part.loans_, part.defaults_, strict=True)
        ]
