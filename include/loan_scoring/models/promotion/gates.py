"""The gates before promotion: each a pure function that gives a verdict with its evidence."""

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
    """A gate's verdict: whether it is passed, the figures behind it, and one plain sentence."""

    gate: str
    passed: bool
    sentence: str
    figures: dict[str, Any]


def better(
    contract: Contract, y: np.ndarray, challenger: np.ndarray, champion: np.ndarray | None
) -> Gate:
    """Ask for an AUC or a log loss better than the champion's by more than the hold-out's noise.

    Passed where there is no champion, or where the paired bootstrap's interval of the difference
    in AUC, at the contract's confidence, lies above 0. Also where that of the log loss lies below
    0 and that of the AUC not wholly below 0: after a change the ranking may hold while the
    probabilities do not, which the AUC cannot see.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        challenger: its probabilities, shape (rows,).
        champion: those of the champion for the same rows; None where there is no champion.
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
    word = "above" if low > 0 else "below" if high < 0 else "not above"
    loss_word = "below" if loss_high < 0 else "not below"
    return Gate(
        "better",
        passed,
        f"AUC {own:.4f} against the champion's {theirs:.4f}: the difference {own - theirs:+.4f}, "
        f"{confidence:.0%} interval [{low:+.4f}, {high:+.4f}], is {word} noise; that of the log "
        f"loss {loss:+.4f} [{loss_low:+.4f}, {loss_high:+.4f}], is {loss_word} noise.",
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
    """Ask for a calibration slope within the contract's limits, as 0.9 to 1.1.

    Args: as of `better`; the champion's slope is told and not judged.
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
    word = "within" if passed else "outside"
    return Gate(
        "calibrated",
        passed,
        f"Calibration slope {found.slope:.3f} is {word} [{low:g}, {high:g}]; predicted "
        f"{np.mean(challenger):.1%}, observed {np.mean(y):.1%} defaults.",
        {name: finite_or_none(value) for name, value in figures.items()},
    )


def fair(contract: Contract, parities: list[Parity]) -> Gate:
    """Ask that no group is approved less often than the floor's share of the best approved.

    An attribute with fewer than two groups of the contract's size cannot be judged and is told.
    """
    floor = contract.promotion.fairness.min_ratio
    passed = all(each.ratio is None or each.ratio >= floor for each in parities)
    told = []
    for each in parities:
        label = contract.by_name[each.attribute].label
        if each.ratio is None:
            told.append(f"{label}: fewer than two groups are large enough to compare")
            continue
        word = "at or above" if each.ratio >= floor else "below"
        told.append(
            f"{label}: {each.lowest} is approved {each.ratio:.3f} times as often as "
            f"{each.highest}, {word} the floor of {floor:g}"
        )
    return Gate(
        "fair",
        passed,
        "; ".join(told) + "." if told else "The contract names no attribute to compare.",
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
    """Ask that none of the model's features gives the outcome away, by the report on record.

    A model without a report does not pass: nobody looked. A decisive leak in a column that was
    dropped before training is no leak of this model.

    Args:
        report: the leak report that stands with the model; `findings` with `column`, `is_decisive`.
        features: the columns that the model reads.
    """
    if report is None:
        return Gate("free_of_leaks", False, "No leak report stands with the model.", {})
    decisive = [each["column"] for each in report["findings"] if each["is_decisive"]]
    leaking = sorted(set(decisive) & set(features))
    looked_at = len(report["findings"])
    sentence = f"None of {looked_at} columns looked at leaks the outcome into the model."
    if leaking:
        sentence = f"The model reads what gives the outcome away: {', '.join(leaking)}."
    return Gate(
        "free_of_leaks",
        not leaking,
        sentence,
        {"columns": looked_at, "decisive": decisive, "leaking": leaking},
    )


def log_loss_difference(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float
) -> tuple[float, tuple[float, float]]:
    """Return the mean log loss of the first less that of the second, and its interval.

    Paired by loan: the normal interval of a mean, as in Diebold, Mariano (1995), equation for
    losses that are independent.
    """
    losses = [np.logaddexp(0, np.where(y == 1, -1, 1) * log_odds(p)) for p in (first, second)]
    differences = losses[0] - losses[1]
    mean = float(np.mean(differences))
    reach = float(norm.ppf((1 + confidence) / 2) * np.std(differences, ddof=1) / len(y) ** 0.5)
    return mean, (mean - reach, mean + reach)
