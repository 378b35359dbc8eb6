"""Define the gates that a challenger must pass before a promotion.

Each gate is a pure function that returns whether the challenger passes, with the figures.

A limit is judged by a 95 % interval: the challenger fails if the interval lies beyond the limit. If
only the value does, the gate is passed, and its sentence says that the result is unclear. The value
alone would refuse good models of small portfolios by noise (docs/adr/0044). Without a champion, the
challenger is the first model, and it must be better than chance.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from loan_scoring.contract import Contract
from loan_scoring.statistics.auc import REPLICATES, auc, auc_differences, delong
from loan_scoring.statistics.calibration import finite_or_none, fit_calibration_line, log_odds
from loan_scoring.statistics.fairness import Z95, Parity
from loan_scoring.statistics.group_differences import GroupCounts, demographic_parity

UNCLEAR = ", so this is unclear"
"""Said if a value is beyond its limit and its interval is not."""


@dataclass(frozen=True)
class Gate:
    """The result of one gate: whether the challenger passed, a sentence for people, and figures."""

    gate: str
    passed: bool
    sentence: str
    figures: dict[str, Any]


def better(
    contract: Contract, y: np.ndarray, challenger: np.ndarray, champion: np.ndarray | None
) -> Gate:
    """Judge whether the challenger is better than the champion by more than noise.

    Differences are challenger minus champion, with intervals at the contract's confidence. The
    gate is passed in any of three cases:

    - There is no champion, and the AUC reaches the floor (see `above_floor`).
    - The paired bootstrap interval of the difference in AUC lies above 0.
    - The interval of the difference in log loss lies below 0, and the interval of the difference
      in AUC does not. This case exists because, after a change, a champion may still rank loans as
      well as before although its probabilities are wrong. The AUC does not show this.

    Args:
        contract: contract with the confidence of the intervals and the random seed.
        y: outcomes, 1 for default, shape (rows,).
        challenger: the challenger's probabilities of default, shape (rows,).
        champion: the champion's probabilities for the same rows, or None if there is no champion.
    """
    if champion is None:
        return above_floor(contract, y, challenger)
    own = auc(y, challenger)
    theirs = auc(y, champion)
    confidence = contract.promotion.confidence
    differences = auc_differences(y, challenger, champion, contract.training.seed)
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    loss, (loss_low, loss_high) = log_loss_difference(y, challenger, champion, confidence)
    passed = bool(low > 0 or (loss_high < 0 and high >= 0))
    side = "above" if low > 0 else "below" if high < 0 else "not above"
    loss_side = "below" if loss_high < 0 else "not below"
    return Gate(
        "better",
        passed,
        f"AUC {own:.4f}, the champion's {theirs:.4f}: the difference {own - theirs:+.4f}, "
        f"{confidence:.0%} interval [{low:+.4f}, {high:+.4f}], is {side} noise. The difference in "
        f"log loss {loss:+.4f} [{loss_low:+.4f}, {loss_high:+.4f}] is {loss_side} noise.",
        {
            "auc": own,
            "champion_auc": theirs,
            "difference": own - theirs,
            "interval": [float(low), float(high)],
            "log_loss_difference": loss,
            "log_loss_interval": [loss_low, loss_high],
            "confidence": confidence,
            "replicates": REPLICATES,
        },
    )


def above_floor(contract: Contract, y: np.ndarray, challenger: np.ndarray) -> Gate:
    """Judge whether the first model reaches the contract's floor, and is better than chance.

    It is better than chance if DeLong's 95 % interval of the AUC lies above 0.5. A few defaults
    could lift the AUC of a useless model above the floor, but not its interval above 0.5.
    """
    floor = contract.promotion.auc_floor
    own, error = delong(y, challenger)
    low, high = own - Z95 * error, min(own + Z95 * error, 1.0)
    side = "below" if own < floor else "at or above"
    chance = "above" if low > 0.5 else "not above"
    return Gate(
        "better",
        bool(own >= floor and low > 0.5),
        f"No champion to compare with: AUC {own:.4f} is {side} the floor of {floor:g}; its 95 % "
        f"interval by DeLong [{low:.4f}, {high:.4f}] lies {chance} 0.5, which is chance.",
        finite({"auc": own, "auc_interval": [low, high], "min_auc": floor}),
    )


def finite(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures for JSON, with None for nan."""
    return {name: finite_or_none(value) for name, value in figures.items()}


def calibrated(
    contract: Contract, y: np.ndarray, challenger: np.ndarray, champion: np.ndarray | None
) -> Gate:
    """Judge whether the calibration slope is within the contract's limits, for example 0.9 to 1.1.

    The gate fails if the slope's 95 % interval does not reach the limits. The champion's slope is
    among the figures, but does not affect the result. `better` describes the arguments.
    """
    low, high = contract.promotion.calibration_slope
    found = fit_calibration_line(y, challenger)
    reach = Z95 * found.standard_error
    interval = [found.slope - reach, found.slope + reach]
    is_within = bool(low <= found.slope <= high)
    passed = bool(interval[0] <= high and interval[1] >= low)
    figures: dict[str, Any] = {
        "slope": found.slope,
        "interval": interval,
        "intercept": found.intercept,
        "limits": [low, high],
        "mean_probability": float(np.mean(challenger)),
        "default_rate": float(np.mean(y)),
    }
    if champion is not None:
        figures["champion_slope"] = fit_calibration_line(y, champion).slope
    side = "within" if is_within else "outside"
    reaches = ""
    if np.isfinite(found.slope):
        verb = "reaches" if passed else "does not reach"
        reaches = f"; its 95 % interval [{interval[0]:.3f}, {interval[1]:.3f}] {verb} them"
        reaches += UNCLEAR * (passed and not is_within)
    return Gate(
        "calibrated",
        passed,
        f"Calibration slope {found.slope:.3f} is {side} the limits [{low:g}, {high:g}]{reaches}; "
        f"predicted {np.mean(challenger):.1%} defaults, observed {np.mean(y):.1%}.",
        finite(figures),
    )


def fair(contract: Contract, parities: list[Parity]) -> Gate:
    """Judge whether the approval rates of an attribute's groups are close enough to each other.

    For each attribute, the ratio is the lowest approval rate divided by the highest. The gate fails
    if the 95 % interval of a ratio lies below `min_ratio` of the contract. An attribute passes if
    it has fewer than two groups that are large enough to compare.

    Args:
        contract: contract with the floor.
        parities: the approval rates by group, one for each attribute.
    """
    floor = contract.promotion.fairness.min_ratio
    intervals = {each.attribute: _ratio_interval(contract, each) for each in parities}
    passed = all(
        intervals[each.attribute][1] >= floor for each in parities if each.ratio is not None
    )
    phrases = []
    for each in parities:
        label = contract.by_name[each.attribute].label
        if each.ratio is None:
            phrases.append(f"{label}: fewer than two groups are large enough to compare")
            continue
        side = "at or above" if each.ratio >= floor else "below"
        low, high = intervals[each.attribute]
        phrases.append(
            f"{label}: {each.lowest} is approved {each.ratio:.3f} times as often as "
            f"{each.highest}, {side} the floor of {floor:g}, 95 % interval [{low:.3f}, {high:.3f}]"
            f"{UNCLEAR * (each.ratio < floor <= high)}"
        )
    return Gate(
        "fair",
        passed,
        "; ".join(phrases) + "." if phrases else "The contract names no attribute to compare.",
        {
            "min_ratio": floor,
            "min_group": contract.promotion.fairness.min_group,
            "attributes": {
                each.attribute: {
                    "ratio": each.ratio,
                    "interval": list(intervals[each.attribute]) if each.ratio is not None else None,
                    "ratio_of_all": each.ratio_of_all,
                    "lowest": each.lowest,
                    "highest": each.highest,
                    "groups": each.groups,
                }
                for each in parities
            },
        },
    )


def _ratio_interval(contract: Contract, parity: Parity) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of the compared groups: (0, 1) if none are compared."""
    compared = [each for each in parity.groups if each["left_out"] is None]
    if parity.ratio is None:
        return 0.0, 1.0
    loans = np.array([each["rows"] for each in compared])
    rates = np.array([each["approval_rate"] for each in compared])
    counts = GroupCounts(loans, np.rint(loans * rates))
    found = demographic_parity(counts, REPLICATES, contract.training.seed)
    ratio = found["demographic_parity_ratio"]
    assert ratio.lower is not None and ratio.upper is not None  # noqa: S101, PT018
    return ratio.lower, ratio.upper


def free_of_leaks(report: dict[str, Any] | None, features: list[str]) -> Gate:
    """Pass the challenger if its leak report shows that no feature leaks the outcome.

    The gate fails if a feature has a decisive leak, or if the model has no leak report. A column
    that was dropped before training does not count.

    Args:
        report: leak report of the model, or None. Its `findings` have `column` and `is_decisive`.
        features: names of the columns that the model reads.
    """
    if report is None:
        return Gate("free_of_leaks", False, "The model has no leak report.", {})
    decisive = [each["column"] for each in report["findings"] if each["is_decisive"]]
    for leaf in report.get("leaves", []):  # a version before 0.2.0 has none
        decisive += leaf["columns"][:1] if leaf["is_decisive"] else []
    leaking = sorted(set(decisive) & set(features))
    checked = len(report["findings"])
    sentence = f"{checked} columns were checked; no feature of the model leaks the outcome."
    if leaking:
        sentence = f"The model reads columns that leak the outcome: {', '.join(leaking)}."
    return Gate(
        "free_of_leaks",
        not leaking,
        sentence,
        {"columns": checked, "decisive": decisive, "leaking": leaking},
    )


def log_loss_difference(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float
) -> tuple[float, tuple[float, float]]:
    """Return the mean log loss of `first` minus the mean log loss of `second`, and an interval.

    The losses are subtracted loan by loan. The interval is the normal interval of the mean of these
    differences (Diebold, Mariano 1995, for independent losses).

    Args:
        y: outcomes, 1 for default, shape (rows,).
        first: probabilities of default by one model, shape (rows,).
        second: probabilities of default by the other model, shape (rows,).
        confidence: level of the interval, for example 0.95.
    """
    losses = [np.logaddexp(0, np.where(y == 1, -1, 1) * log_odds(p)) for p in (first, second)]
    differences = losses[0] - losses[1]
    mean = float(np.mean(differences))
    reach = float(norm.ppf((1 + confidence) / 2) * np.std(differences, ddof=1) / len(y) ** 0.5)
    return mean, (mean - reach, mean + reach)
