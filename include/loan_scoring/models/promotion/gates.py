"""Define the gates that a challenger must pass before a promotion.

Each gate is a pure function that returns whether the challenger passes, with the figures.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from loan_scoring.contract import Contract
from loan_scoring.statistics.auc import REPLICATES, auc, auc_differences
from loan_scoring.statistics.calibration import (
    finite_or_none,
    fit_calibration_line,
    log_odds,
)
from loan_scoring.statistics.fairness import Z95, Parity


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

    - There is no champion.
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
    own = auc(y, challenger)
    if champion is None:
        return Gate("better", True, "There is no champion to beat.", {"auc": own})
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


def calibrated(
    contract: Contract, y: np.ndarray, challenger: np.ndarray, champion: np.ndarray | None
) -> Gate:
    """Judge whether the calibration slope is within the contract's limits, for example 0.9 to 1.1.

    The champion's slope is among the figures, but does not affect the result. `better` describes
    the arguments.
    """
    low, high = contract.promotion.calibration_slope
    found = fit_calibration_line(y, challenger)
    passed = bool(low <= found.slope <= high)
    reach = Z95 * found.standard_error
    figures: dict[str, Any] = {
        "slope": found.slope,
        "interval": [found.slope - reach, found.slope + reach],
        "intercept": found.intercept,
        "limits": [low, high],
        "mean_probability": float(np.mean(challenger)),
        "default_rate": float(np.mean(y)),
    }
    if champion is not None:
        figures["champion_slope"] = fit_calibration_line(y, champion).slope
    side = "within" if passed else "outside"
    return Gate(
        "calibrated",
        passed,
        f"Calibration slope {found.slope:.3f} is {side} [{low:g}, {high:g}]; predicted "
        f"{np.mean(challenger):.1%} defaults, observed {np.mean(y):.1%}.",
        {name: finite_or_none(value) for name, value in figures.items()},
    )


def fair(contract: Contract, parities: list[Parity]) -> Gate:
    """Judge whether the approval rates of an attribute's groups are close enough to each other.

    For each attribute, the lowest approval rate divided by the highest must be at least
    `min_ratio` of the contract. An attribute passes if it has fewer than two groups that are
    large enough to compare.
    """
    floor = contract.promotion.fairness.min_ratio
    passed = all(each.ratio is None or each.ratio >= floor for each in parities)
    phrases = []
    for each in parities:
        label = contract.by_name[each.attribute].label
        if each.ratio is None:
            phrases.append(f"{label}: fewer than two groups are large enough to compare")
            continue
        side = "at or above" if each.ratio >= floor else "below"
        phrases.append(
            f"{label}: {each.lowest} is approved {each.ratio:.3f} times as often as "
            f"{each.highest}, {side} the floor of {floor:g}"
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
                    "ratio_of_all": each.ratio_of_all,
                    "lowest": each.lowest,
                    "highest": each.highest,
                    "groups": each.groups,
                }
                for each in parities
            },
        },
    )


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
