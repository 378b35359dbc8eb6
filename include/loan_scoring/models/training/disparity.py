"""Count how trials approve the groups of protected columns, and find the least discriminatory.

Only counts are recorded, so a card can compute every figure from the trials.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract
from loan_scoring.models.groups import group_labels
from loan_scoring.statistics.calibration import at_rate, recalibrate
from loan_scoring.statistics.fairness import groups_in_order
from loan_scoring.statistics.labels import Labels

if TYPE_CHECKING:
    from loan_scoring.models.training.cross_validation import TrialResult

Counts = dict[str, dict[str, list[Any]]]
"""For each attribute, lists by group: `groups`, `loans`, `approved`, `paid`, `paid_approved`."""


def protected_labels(contract: Contract, table: pa.Table, rows: np.ndarray) -> dict[str, Labels]:
    """Return the group of some rows of a table, by protected column that has groups.

    Args:
        contract: contract with the protected columns.
        table: rows of a training.
        rows: indices of the rows.
    """
    return {
        name: group_labels(contract, name, table.column(name)).among(rows)
        for name in contract.protected_groups
        if name in table.column_names
    }


def compared_groups(
    contract: Contract, attribute: str, labels: Labels, *, is_holdout: bool = False
) -> list[str]:
    """Return the groups of an attribute that are compared: large enough, and groups of people.

    `min_group` is the size in the hold-out. In a training set, which is larger, a group must be
    larger by the same factor. So the groups are those that the gate `fair` will compare.

    Args:
        contract: contract with the rule of the groups, and the share of the hold-out.
        attribute: name of the protected column.
        labels: group of each row.
        is_holdout: whether the rows are the hold-out, and not a training set.
    """
    rule, share = contract.group_rule(attribute), contract.training.holdout_share
    if not is_holdout:
        rule = replace(rule, min_group=math.ceil(rule.min_group * (1 - share) / share))
    nobody = np.zeros(len(labels), dtype=bool)
    found = groups_in_order(rule, labels, nobody.astype(float), nobody)
    return [each["group"] for each in found if each["left_out"] is None]


def would_approve(
    contract: Contract, probability: np.ndarray, calibration: tuple[float, float] | None
) -> np.ndarray:
    """Return whether each loan would be approved by out-of-fold probabilities, shape (rows,), bool.

    Args:
        contract: contract with the threshold, and the long-run rate if there is one.
        probability: probabilities before calibration, shape (rows,).
        calibration: slope and intercept with which the model is calibrated, or None.
    """
    if calibration is not None:
        probability = recalibrate(probability, *calibration)
    target = contract.training.target_rate
    if target is not None:
        probability = at_rate(probability, target * len(probability))
    return np.asarray(probability < contract.decision.approve_below)


def count_approvals(
    contract: Contract, groups: Mapping[str, Labels], y: np.ndarray, approved: np.ndarray
) -> Counts:
    """Count the loans, the approved and the paid ones of each compared group, by attribute.

    Args:
        contract: contract with the rules of the groups.
        groups: group of each row of a training set, by attribute.
        y: outcomes, 1 for default, shape (rows,).
        approved: whether each row would be approved, shape (rows,), bool.
    """
    found: Counts = {}
    for attribute, labels in groups.items():
        compared = compared_groups(contract, attribute, labels)
        if len(compared) < 2:
            continue
        found[attribute] = {"groups": compared}
        for name, rows in (
            ("loans", None), ("approved", approved),
            ("paid", y == 0), ("paid_approved", approved & (y == 0)),
        ):  # fmt: skip
            counts = labels.counts(rows)
            found[attribute][name] = [int(counts[group]) for group in compared]
    return found


def disparity(counts: Mapping[str, Sequence[Any]], measure: str) -> float | None:
    """Return how unequal the approval of groups is by a measure: 0 if it is equal, at most 1.

    It is 1 minus the demographic parity ratio, the equal opportunity difference, or the equalized
    odds difference. It is None if a group has no loan of an outcome that the measure compares.

    Args:
        counts: counts of one attribute, as `count_approvals` returns them.
        measure: a measure of `training.mitigation`.

    >>> counts = {"loans": [100, 50], "approved": [50, 20], "paid": [80, 40],
    ...           "paid_approved": [48, 20]}
    >>> [round(disparity(counts, each), 3) for each in
    ...  ("demographic_parity", "equal_opportunity", "equalized_odds")]
    [0.2, 0.1, 0.1]
    """
    loans, approved, paid, paid_approved = (
        np.array(counts[name], dtype=float)
        for name in ("loans", "approved", "paid", "paid_approved")
    )
    if measure == "demographic_parity":
        rates = approved / loans
        return float(1 - rates.min() / rates.max()) if rates.max() > 0 else 0.0
    if not paid.all():
        return None
    opportunity = float(np.ptp(paid_approved / paid))
    if measure == "equal_opportunity":
        return opportunity
    defaulted = loans - paid
    if not defaulted.all():
        return None
    return max(opportunity, float(np.ptp((approved - paid_approved) / defaulted)))


def disparity_of(contract: Contract, result: "TrialResult") -> float | None:
    """Return how unequally a trial approves groups in cross-validation. None if it is not known.

    It is measured by `training.mitigation`. Without it, it is the largest of 1 minus the
    demographic parity ratio over the attributes that the gate `fair` judges.
    """
    policy = contract.training.mitigation
    attributes = contract.fairness_attributes if policy is None else [policy.attribute]
    measure = "demographic_parity" if policy is None else policy.measure
    fairness = result.fairness or {}
    found = [disparity(fairness[name], measure) for name in attributes if name in fairness]
    known = [each for each in found if each is not None]
    return max(known) if known else None


def least_discriminatory(
    contract: Contract, results: Sequence["TrialResult"]
) -> "TrialResult | None":
    """Return the trial with the least disparity among those whose AUC is near the best.

    Near is within one standard error of the best, as for the choice of a trial. Of equal ones the
    simplest is returned. None if no disparity is known.
    """
    known = [each for each in near_best(results) if disparity_of(contract, each) is not None]
    return min(
        known, key=lambda each: (disparity_of(contract, each), each.trial.place), default=None
    )


def near_best(
    results: Sequence["TrialResult"], others: Sequence["TrialResult"] | None = None
) -> list["TrialResult"]:
    """Return the results whose mean AUC is within one standard error of the best trial's.

    Args:
        results: results of the trials, the best of which sets the limit.
        others: results that are held against this limit. If None, all trials are.
    """
    best = max(results, key=lambda each: (each.mean("auc"), -each.trial.place))
    enough = best.mean("auc") - best.auc_standard_error
    held = results if others is None else others
    return [each for each in held if each.mean("auc") >= enough]
