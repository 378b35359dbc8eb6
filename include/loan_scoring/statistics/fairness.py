"""Approval by group: rates with intervals, and the ratio of the lowest to the highest rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loan_scoring.statistics.intervals import wilson

NOT_STATED = "not stated"
"""The group of applicants whose attribute is null."""

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution: half a 95 % interval in standard errors."""


@dataclass(frozen=True)
class GroupRule:
    """Which groups of one attribute are compared, and the order in which groups are listed."""

    attribute: str
    min_group: int
    """Fewest loans of a group that is compared."""
    not_a_group: Mapping[str, str]
    """Levels that are no group of people, each with the reason."""
    order: Sequence[str]


@dataclass(frozen=True)
class Parity:
    """How approval differs between the groups of one attribute.

    `ratio` is the demographic parity ratio: the lowest approval rate over the highest, among
    compared groups; None where fewer than two are compared. `ratio_of_all` also compares the
    levels that the rule names as no group. `groups` has for each group its `rows`,
    `approval_rate` with a 95 % Wilson interval (`low`, `high`), `default_rate` where outcomes are
    known, and `left_out`: the reason why it is not compared, or None.
    """

    attribute: str
    ratio: float | None
    ratio_of_all: float | None
    lowest: str | None
    highest: str | None
    groups: list[dict[str, Any]]


def approval_parity(
    rule: GroupRule,
    values: list[str | None],
    y: np.ndarray,
    approved: np.ndarray,
) -> Parity:
    """Return how approval differs between the groups of one attribute.

    Groups below the rule's `min_group`, and levels that it names as no group, are listed and not
    compared.

    Args:
        values: the group of each row, None where it is not known.
        y: outcomes, 1 for default, shape (rows,).
        approved: whether each row would be approved, shape (rows,), bool.
    """
    from fairlearn.metrics import MetricFrame, selection_rate

    group_of = np.array(_stated(values), dtype=object)
    groups = groups_in_order(rule, values, y, approved)

    def ratio_among(names: list[str]) -> float | None:
        if len(names) < 2:
            return None
        kept = np.isin(group_of, names)
        if not approved[kept].any():
            return 1.0  # nobody is approved: all rates are equal
        among = MetricFrame(
            metrics=selection_rate,
            y_true=y[kept],
            y_pred=approved[kept].astype(int),
            sensitive_features=group_of[kept],
        )
        return float(among.ratio(method="between_groups"))

    compared = [each for each in groups if each["left_out"] is None]
    smallest = rule.min_group
    large = [each["group"] for each in groups if each["rows"] >= smallest]
    ratio = ratio_among([each["group"] for each in compared])
    ranked = sorted(compared, key=lambda each: each["approval_rate"])
    return Parity(
        rule.attribute,
        ratio,
        ratio_among(large),
        None if ratio is None else ranked[0]["group"],
        None if ratio is None else ranked[-1]["group"],
        groups,
    )


def groups_in_order(
    rule: GroupRule,
    values: list[str | None],
    y: np.ndarray,
    approved: np.ndarray,
) -> list[dict[str, Any]]:
    """Return the `groups` of a Parity, in the rule's order.

    Args:
        values: the group of each row, None where it is not known.
        y: outcomes, 1 for default, nan where they are not known, shape (rows,).
        approved: whether each row would be approved, shape (rows,), bool.
    """
    names, places = np.unique(np.array(_stated(values)), return_inverse=True)
    is_known = ~np.isnan(y)
    rows, accepted = np.bincount(places), np.bincount(places, weights=approved)
    known = np.bincount(places[is_known], minlength=len(names))
    defaults = np.bincount(places[is_known], weights=y[is_known], minlength=len(names))
    groups = []
    for place in sorted(range(len(names)), key=lambda each: _place(rule.order, str(names[each]))):
        name, size = str(names[place]), int(rows[place])
        rate = float(accepted[place] / size)
        low, high = wilson(rate * size, size)
        small = f"fewer than {rule.min_group} loans" if size < rule.min_group else None
        groups.append(
            {
                "group": name,
                "rows": size,
                "approval_rate": rate,
                "low": low,
                "high": high,
                "default_rate": float(defaults[place] / known[place]) if known[place] else None,
                "left_out": rule.not_a_group.get(name, small),
            }
        )
    return groups


def _stated(values: list[str | None]) -> list[str]:
    return [NOT_STATED if value is None else value for value in values]


def _place(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
