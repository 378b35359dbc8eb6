"""Measure a batch by segment, and find segments whose defaults stand out from the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loan_scoring.contract import Contract
from loan_scoring.models.segmentation import Segmentation, segmentations
from loan_scoring.monitoring.performance.batch import ScoredBatch
from loan_scoring.monitoring.performance.loss import approval_rate
from loan_scoring.statistics.auc import delong, expected_auc
from loan_scoring.statistics.fairness import Z95
from loan_scoring.statistics.intervals import Estimate, wilson
from loan_scoring.statistics.parts import holm, is_apart, part_p_values, shifted

MIN_EACH = 30
"""Minimum number of defaults, and of paid loans, for the AUC of a segment.

With fewer, the normal approximation of the AUC's interval does not hold.
"""


@dataclass(frozen=True)
class SegmentFigure:
    """A row of table `segments`: the figures of one segment of a batch.

    Figures that need outcomes are None until enough outcomes have arrived. `calibration` is the
    default rate minus the mean expected probability. `difference` is the same after a common shift
    of the log-odds of all loans of the batch, so it shows what the segment has beyond the rest.
    """

    segmented_by: str
    segment: str
    place: int
    loans: int
    approval_rate: Estimate
    expected_default_rate: float
    outcomes: int | None = None
    default_rate: Estimate | None = None
    expected_of_outcomes: float | None = None
    calibration: Estimate | None = None
    auc: Estimate | None = None
    expected_auc: float | None = None
    difference: float | None = None
    p_adjusted: float | None = None
    stands_out: bool | None = None


def segment_figures(
    contract: Contract, batch: ScoredBatch, true: np.ndarray, is_mature: bool
) -> list[SegmentFigure]:
    """Return the figures of all segments of a batch.

    A segment stands out if its p-value, adjusted by Holm's method over all segments of the batch,
    is below `monitoring.q`, and both its calibration and its difference are at least the floor of
    a default rate, in the same direction.

    Holm's method and not Benjamini-Hochberg's, because segments are looked at every night, and the
    chance that a batch shows any false one is what has to be small. It also holds for segments that
    overlap, as those of two columns do.

    Args:
        contract: contract with the columns of `performance.segments`.
        batch: loans of the batch.
        true: recalibrated probability with which each loan defaults, shape (rows,).
        is_mature: whether enough outcomes have arrived.
    """
    if not len(true):
        return []
    cuts = segmentations(contract, batch.personas, batch.segments)
    found = [_before_outcomes(batch, true, cut, place) for cut in cuts for place in _places(cut)]
    if not is_mature:
        return found
    known = batch.known
    y, p, expected = batch.outcome[known].astype(int), batch.probability[known], true[known]
    cuts = [Segmentation(cut.segmented_by, cut.names, cut.code[known]) for cut in cuts]
    facts = [_after_outcomes(y, p, expected, cut.code == place)
             for cut in cuts for place in _places(cut)]  # fmt: skip
    if 0 < y.sum() < len(y):
        _compare(contract, y, expected, cuts, facts)
    return [SegmentFigure(**vars(each) | more) for each, more in zip(found, facts, strict=True)]


def _places(cut: Segmentation) -> range:
    return range(len(cut.names))


def _before_outcomes(
    batch: ScoredBatch, true: np.ndarray, cut: Segmentation, place: int
) -> SegmentFigure:
    rows = cut.code == place
    return SegmentFigure(
        cut.segmented_by,
        cut.names[place],
        place,
        int(rows.sum()),
        approval_rate(batch.approved[rows]),
        float(true[rows].mean()),
    )


def _after_outcomes(
    y: np.ndarray, probability: np.ndarray, expected: np.ndarray, rows: np.ndarray
) -> dict[str, Any]:
    """Return the figures of a segment that need outcomes.

    The interval of the calibration is that of the default rate. The expected rate counts as known.
    """
    loans, defaults = int(rows.sum()), int(y[rows].sum())
    if not loans:
        return {"outcomes": 0}
    rate, mean = defaults / loans, float(expected[rows].mean())
    low, high = wilson(defaults, loans)
    facts = {
        "outcomes": loans,
        "default_rate": Estimate(rate, low, high),
        "expected_of_outcomes": mean,
        "calibration": Estimate(rate - mean, low - mean, high - mean),
    }
    if min(defaults, loans - defaults) >= MIN_EACH:
        value, error = delong(y[rows], probability[rows])
        reach = Z95 * error
        facts["auc"] = Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0))
        facts["expected_auc"] = expected_auc(probability[rows], expected[rows])
    return facts


def _compare(
    contract: Contract,
    y: np.ndarray,
    expected: np.ndarray,
    cuts: Sequence[Segmentation],
    facts: Sequence[dict[str, Any]],
) -> None:
    """Add to the facts of each segment how far it differs from the rest of the batch."""
    level = shifted(y, expected)
    p_values = np.concatenate([part_p_values(y, level, cut.code, len(cut.names)) for cut in cuts])
    excess = np.concatenate(
        [np.bincount(cut.code, weights=y - level, minlength=len(cut.names)) for cut in cuts]
    )
    for each, p, beyond in zip(facts, holm(p_values).tolist(), excess.tolist(), strict=True):
        if each["outcomes"]:
            each["difference"] = beyond / each["outcomes"]
            each["p_adjusted"] = p
            floor = contract.performance.rate_floor(each["expected_of_outcomes"])
            is_far = is_apart(each["calibration"].value, each["difference"], floor)
            each["stands_out"] = p < contract.monitoring.q and is_far
