"""Compare the approval rates of groups of applicants.

The results are the approval rate of each group with an interval, and the demographic parity ratio,
which is the lowest approval rate divided by the highest approval rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loan_scoring.statistics.intervals import wilson
from loan_scoring.statistics.labels import Labels

NOT_STATED = "not stated"
"""Name of the group of applicants whose attribute is null."""

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution.

The limits of a 95 % interval are Z95 standard errors below and above the estimate.
"""


@dataclass(frozen=True)
class GroupRule:
    """The rule for one attribute: the groups to compare, and the sort order of all groups."""

    attribute: str
    min_group: int
    """Minimum number of loans for a group to be compared."""
    not_a_group: Mapping[str, str]
    """Levels of the attribute that are not compared, each with the reason.

    Such a level does not describe a group of people.
    """
    order: Sequence[str]


@dataclass(frozen=True)
class Parity:
    """The result of comparing the approval rates of the groups of one attribute."""

    attribute: str
    ratio: float | None
    """Demographic parity ratio: the lowest approval rate divided by the highest approval rate.

    The ratio is None if fewer than two groups are compared.
    """
    ratio_of_all: float | None
    """Demographic parity ratio that also compares the levels in the rule's `not_a_group`.

    Levels with fewer than `min_group` loans are left out. The ratio is None if fewer than two
    levels remain.
    """
    lowest: str | None
    """Compared group with the lowest approval rate, or None if `ratio` is None."""
    highest: str | None
    """Compared group with the highest approval rate, or None if `ratio` is None."""
    groups: list[dict[str, Any]]
    """All groups, including groups that are not compared.

    Each group is a dictionary. `group` is the name, and `rows` is the number of loans. `low` and
    `high` are the limits of the 95 % Wilson interval of `approval_rate`. `default_rate` is None if
    no outcome is known. `left_out` is the reason why the group is not compared, or None if the
    group is compared.
    """


def approval_parity(
    rule: GroupRule,
    values: list[str | None],
    y: np.ndarray,
    approved: np.ndarray,
) -> Parity:
    """Compare the approval rates of the groups of one attribute.

    Groups smaller than the rule's `min_group`, and levels in the rule's `not_a_group`, are listed
    but not compared.

    Args:
        rule: rule of the attribute.
        values: group of each row. None means that the group is not known.
        y: outcomes, 1 for default, shape (rows,).
        approved: whether each row would be approved, shape (rows,), bool.
    """
    from fairlearn.metrics import MetricFrame, selection_rate

    stated = [NOT_STATED if value is None else value for value in values]
    group_of = np.array(stated, dtype=object)
    groups = groups_in_order(rule, Labels.of(stated), y, approved)

    def ratio_among(names: list[str]) -> float | None:
        if len(names) < 2:
            return None
        kept = np.isin(group_of, names)
        if not approved[kept].any():
            return 1.0  # all rates are equal because nobody is approved
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
    values: Labels,
    y: np.ndarray,
    approved: np.ndarray,
) -> list[dict[str, Any]]:
    """Return the approval rate and default rate of each group, in the sort order of the rule.

    Each group is a dictionary, as described at `Parity.groups`.

    Args:
        rule: rule of the attribute.
        values: group of each row, NOT_STATED if it is not known.
        y: outcomes, 1 for default and nan for unknown, shape (rows,).
        approved: whether each row would be approved, shape (rows,), bool.
    """
    rows, accepted = values.counts(), values.counts(approved)
    is_known = ~np.isnan(y)
    with_outcome = values.among(is_known)
    known, defaults = with_outcome.counts(), with_outcome.counts(y[is_known])
    groups = []
    for name in sorted(rows, key=lambda each: _place(rule.order, each)):
        size = int(rows[name])
        rate = float(accepted[name] / size)
        low, high = wilson(rate * size, size)
        small = f"fewer than {rule.min_group} loans" if size < rule.min_group else None
        groups.append(
            {
                "group": name,
                "rows": size,
                "approval_rate": rate,
                "low": low,
                "high": high,
                "default_rate": defaults[name] / known[name] if name in known else None,
                "left_out": rule.not_a_group.get(name, small),
            }
        )
    return groups


def _place(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
