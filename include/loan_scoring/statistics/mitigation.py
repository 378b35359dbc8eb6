"""Calculate weights, labels and thresholds that make the approval of groups more alike.

All functions take the groups as indices: 0, 1, ... for groups that are compared, and NO_GROUP for
rows that are not, which stay as they are. Approval is the benefit: a loan is approved if default is
not predicted.
"""

from collections.abc import Mapping

import numpy as np

NO_GROUP = -1
"""Index of rows whose group is not compared."""

EVENTS = {
    "demographic_parity": (None,),
    "equal_opportunity": (0,),
    "equalized_odds": (0, 1),
}
"""The outcomes within which approval is compared, by measure. None means all loans."""


def reweighing(y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return weights by which outcome and group are independent, shape (rows,).

    A row of group g and outcome y weighs P(g) P(y) / P(g, y). The sums of weights by group and by
    outcome stay. Source: Kamiran, Calders (2012), "Data preprocessing techniques for classification
    without discrimination", Knowledge and Information Systems 33, 1-33.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        group: index of each row's group, shape (rows,).

    >>> reweighing(np.array([1, 1, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1, -1])).round(3)
    array([0.9, 0.9, 1.2, 0.8, 1.2, 1. ])
    """
    weights = np.ones(len(y))
    rows = group != NO_GROUP
    table = np.zeros((group.max(initial=0) + 1, 2))
    np.add.at(table, (group[rows], y[rows]), 1)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        weights[rows] = (expected / table)[group[rows], y[rows]]
    return weights


def signed_weights(
    y: np.ndarray,
    group: np.ndarray,
    threshold: float,
    multipliers: Mapping[tuple[int | None, int], float],
) -> np.ndarray:
    """Return what it costs to approve each loan, relative to declining it, shape (rows,).

    A loan with a positive cost is to be learnt as a default, others as paid, each with the absolute
    cost as its weight. Without multipliers, approving a default costs 1 - threshold and declining
    a paid loan costs threshold, so that loans of a probability above the threshold are declined.
    Source: Agarwal et al. (2018), "A reductions approach to fair classification", section 3.2, with
    the costs of a false positive and a false negative.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        group: index of each row's group, shape (rows,).
        threshold: probability from which on loans are not approved.
        multipliers: Lagrange multiplier of each constraint, by event (see EVENTS) and group: of its
            positive minus of its negative side.
    """
    cost = y - threshold
    rows, total = group != NO_GROUP, len(y)
    for event in {event for event, _ in multipliers}:
        is_event = rows if event is None else rows & (y == event)
        of_group = {g: value for (one, g), value in multipliers.items() if one == event}
        cost = cost + is_event * sum(of_group.values()) * total / max(is_event.sum(), 1)
        for g, value in of_group.items():
            members = is_event & (group == g)
            cost = cost - members * value * total / max(members.sum(), 1)
    return np.asarray(cost)


def labels_and_weights(cost: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what a classifier learns from costs: labels and weights, shape (rows,) each.

    Weights are divided by the cost that a loan of this label has without multipliers. So without
    multipliers all weigh 1, the classifier is as it would be otherwise, and its probability is held
    against `threshold`. With the plain costs it would be held against one half instead, because
    both ways differ by one factor of the odds.

    Args:
        cost: what `signed_weights` returned.
        threshold: probability from which on loans are not approved.
    """
    labels = (cost > 0).astype(int)
    weights = np.abs(cost) / np.where(labels == 1, 1 - threshold, threshold)
    return labels, weights / weights.mean()


def group_thresholds(
    probability: np.ndarray, y: np.ndarray, group: np.ndarray, threshold: float, measure: str
) -> list[float]:
    """Return the threshold of each group by which all groups are approved at one rate.

    It is the rate at which the common threshold approves all compared loans, or all of them that
    were paid for `equal_opportunity`. For `equalized_odds` only the rates of paid loans are made
    equal: to make both equal takes decisions by lot (Hardt, Price, Srebro 2016).

    Args:
        probability: probabilities of default, shape (rows,).
        y: outcomes, 1 for default, shape (rows,).
        group: index of each row's group, shape (rows,).
        threshold: the common threshold. Loans below it are approved.
        measure: one of EVENTS.
    """
    event = EVENTS[measure][0]
    counted = (group != NO_GROUP) & (True if event is None else y == event)
    rate = float(np.mean(probability[counted] < threshold))
    found = []
    for g in range(group.max() + 1):
        ranked = np.sort(probability[counted & (group == g)])
        approved = round(rate * len(ranked))
        found.append(float(ranked[approved]) if approved < len(ranked) else 1.0)
    return found
