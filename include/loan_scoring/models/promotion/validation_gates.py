"""Define the gates with the basics: AUC floor, mean prediction, segments, and the last cohorts.

As in `gates`, each is a pure function, and a limit is judged by a 95 % interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loan_scoring.contract import Contract
from loan_scoring.models.promotion.gates import UNCLEAR, Gate, above_floor, finite
from loan_scoring.models.segmentation import Segmentation
from loan_scoring.statistics.auc import auc_differences, delong
from loan_scoring.statistics.calibration import fit_calibration_line
from loan_scoring.statistics.fairness import Z95
from loan_scoring.statistics.intervals import wilson
from loan_scoring.statistics.parts import holm, is_apart, part_p_values, shifted
from loan_scoring.statistics.psi import score_psi


@dataclass(frozen=True)
class LastCohorts:
    """Outcomes and probabilities of loans of the last cohorts, which no fit saw.

    `champion` has the champion's probabilities of the loans in `is_common`, which the champion was
    not fitted on either. Both are None if there is no champion or no such loan.
    """

    first: str
    y: np.ndarray
    challenger: np.ndarray
    champion: np.ndarray | None = None
    is_common: np.ndarray | None = None


def reaches_floor(contract: Contract, y: np.ndarray, challenger: np.ndarray) -> Gate:
    """Judge whether the AUC reaches the floor that holds for every promotion, and beats chance.

    A challenger that is better than a poor champion may still be poor.
    """
    found = above_floor(contract, y, challenger)
    own, floor = found.figures["auc"], found.figures["min_auc"]
    low, high = found.figures["auc_interval"]
    side = "below" if own < floor else "at or above"
    chance = "above" if low > 0.5 else "not above"
    sentence = (
        f"AUC {own:.4f} is {side} the floor of {floor:g} for every model; its 95 % interval "
        f"[{low:.4f}, {high:.4f}] lies {chance} 0.5, which is chance."
    )
    return Gate("auc_floor", found.passed, sentence, found.figures)


def calibrated_in_the_large(contract: Contract, y: np.ndarray, challenger: np.ndarray) -> Gate:
    """Judge whether the mean prediction is that of the defaults that were observed.

    The gate fails if the mean is outside the 95 % Wilson interval of the observed rate, and further
    from the rate than the contract's `calibration_in_the_large` allows. The slope does not show
    such a fault: predictions that are all too high by one factor of the odds have slope 1.
    """
    loans, defaults = len(y), float(np.sum(y))
    rate, mean = defaults / loans, float(np.mean(challenger))
    low, high = wilson(defaults, loans)
    limit = contract.promotion.calibration_in_the_large.floor(rate)
    is_far, is_outside = abs(mean - rate) > limit, not low <= mean <= high
    within = "outside" if is_outside else "within"
    sentence = (
        f"Predicted {mean:.1%} defaults, observed {rate:.1%}: {abs(mean - rate):.1%} apart, of "
        f"which {limit:.1%} are accepted; the prediction is {within} the 95 % interval "
        f"[{low:.1%}, {high:.1%}] of the observed rate{UNCLEAR * (is_far and not is_outside)}."
    )
    figures = {
        "mean_probability": mean, "default_rate": rate, "interval": [low, high], "limit": limit,
    }  # fmt: skip
    return Gate("calibrated_in_the_large", not (is_far and is_outside), sentence, figures)


def even_segments(
    contract: Contract, y: np.ndarray, challenger: np.ndarray, cuts: Sequence[Segmentation]
) -> Gate:
    """Judge whether no segment's calibration stands out.

    A segment stands out as in monitoring: its p-value, given the total of defaults and adjusted by
    Holm over all segments, is below 1 - `confidence`, and both its distance from the prediction and
    from the rest of the hold-out are at least the floors of `performance`. Such a model would raise
    an alarm on outcomes in its first night.

    Args:
        contract: contract with confidence and floors.
        y: outcomes, 1 for default, shape (rows,), with both outcomes.
        challenger: probabilities of default, shape (rows,).
        cuts: segments of the same loans.
    """
    level = shifted(y, challenger)
    p_values = [part_p_values(y, level, cut.code, len(cut.names)) for cut in cuts]
    adjusted = iter(holm(np.concatenate(p_values)).tolist() if p_values else [])
    segments = []
    for cut in cuts:
        for place, name in enumerate(cut.names):
            rows, p = cut.code == place, next(adjusted)
            rate, mean = float(y[rows].mean()), float(challenger[rows].mean())
            difference = rate - float(level[rows].mean())
            limit = contract.performance.rate_floor(mean)
            is_far = is_apart(rate - mean, difference, limit)
            segments.append(
                {
                    "segmented_by": cut.segmented_by, "segment": name, "loans": int(rows.sum()),
                    "default_rate": rate, "mean_probability": mean, "p_adjusted": p,
                    "limit": limit,
                    "stands_out": bool(is_far and p < 1 - contract.promotion.confidence),
                }
            )  # fmt: skip
    out = [each for each in segments if each["stands_out"]]
    phrases = [
        f"{each['segmented_by']} {each['segment']}: predicted {each['mean_probability']:.1%}, "
        f"observed {each['default_rate']:.1%} of {each['loans']:,} loans"
        for each in out
    ]
    sentence = (
        f"Calibration stands out in {'; '.join(phrases)}."
        if out
        else f"In none of {len(segments)} segments does the calibration stand out."
    )
    return Gate("segments", not out, sentence, {"segments": segments})


def holds_over_time(
    contract: Contract,
    y: np.ndarray,
    challenger: np.ndarray,
    last: LastCohorts | None,
    reason: str | None = None,
) -> Gate:
    """Judge whether the challenger still ranks loans of the last cohorts.

    The gate fails if, by 95 % intervals, the AUC on the last cohorts is lower than on the hold-out
    by more than `stability.max_auc_drop`, below the floor of every model, or below the champion's
    on the same loans. A default rate that has risen is not judged here, because a bad year is no
    fault of the model. It is on the card.

    Args:
        contract: contract with the limits.
        y: outcomes of the hold-out, 1 for default, shape (rows,).
        challenger: probabilities of the hold-out, shape (rows,).
        last: loans of the last cohorts, or None.
        reason: why there are none.
    """
    if last is None:
        return _not_measured("out_of_time", reason)
    policy, floor = contract.promotion.stability, contract.promotion.auc_floor
    held, held_error = delong(y, challenger)
    own, error = delong(last.y, last.challenger)
    reach = Z95 * float(np.hypot(held_error, error))
    drop = held - own
    upper = min(own + Z95 * error, 1.0)
    line = fit_calibration_line(last.y, last.challenger)
    figures: dict[str, Any] = {
        "first": last.first, "rows": len(last.y), "auc": own,
        "auc_interval": [own - Z95 * error, upper], "drop": drop,
        "drop_interval": [drop - reach, drop + reach], "max_auc_drop": policy.max_auc_drop,
        "min_auc": floor, "slope": line.slope, "default_rate": float(np.mean(last.y)),
        "mean_probability": float(np.mean(last.challenger)),
    }  # fmt: skip
    is_too_low = drop - reach > policy.max_auc_drop
    passed = not is_too_low and upper >= floor
    sentence = (
        f"On {len(last.y):,} loans since {last.first}, which no fit saw, the AUC is {own:.4f}. "
        f"The hold-out's minus this is {drop:+.4f}, 95 % interval [{drop - reach:+.4f}, "
        f"{drop + reach:+.4f}]; at most {policy.max_auc_drop:g} is accepted"
        f"{UNCLEAR * (not is_too_low and drop > policy.max_auc_drop)}"
    )
    if upper < floor:
        sentence += f"; it is below the floor of {floor:g} by its interval"
    if last.champion is not None:
        common = last.is_common
        differences = auc_differences(
            last.y[common], last.challenger[common], last.champion, contract.training.seed
        )
        low, high = np.quantile(differences, [0.025, 0.975]).tolist()
        figures |= {"champion_rows": len(last.champion), "difference_interval": [low, high]}
        passed = passed and high >= 0
        worse = "worse by more than noise" if high < 0 else "not worse by more than noise"
        sentence += (
            f". Against the champion, on {len(last.champion):,} loans that neither saw, the "
            f"difference is in [{low:+.4f}, {high:+.4f}], {worse}"
        )
    return Gate("out_of_time", bool(passed), f"{sentence}.", finite(figures))


def stable(
    contract: Contract, challenger: np.ndarray, last: LastCohorts | None, reason: str | None = None
) -> Gate:
    """Judge whether scores of the last cohorts are distributed as those of the hold-out.

    The PSI is corrected for the numbers of loans, so that few loans do not fail by chance.
    """
    if last is None:
        return _not_measured("stable", reason)
    limit = contract.promotion.stability.max_psi
    found = score_psi(challenger, last.challenger)
    side = "above" if found["psi"] > limit else "at or below"
    return Gate(
        "stable",
        found["psi"] <= limit,
        f"The PSI of the score from the hold-out to {len(last.y):,} loans since {last.first} is "
        f"{found['psi']:.3f}, corrected by {found['psi_by_chance']:.3f} that chance explains; it "
        f"is {side} the limit of {limit:g}.",
        found | {"max_psi": limit},
    )


def _not_measured(gate: str, reason: str | None) -> Gate:
    return Gate(gate, True, f"Not measured: {reason}.", {"is_measured": False, "reason": reason})
