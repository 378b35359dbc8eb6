"""Derive the expectations of a batch from the contract, with their limits and severity."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from loan_scoring.contract import KEY, Column, Contract

CHANCE = 0.9999
"""The probability within which a deviation counts as chance."""

LANDED = ("batch_id", "revision", "line_number")
"""The columns of applications that are not in the contract."""

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Expectation:
    """One expectation: `kind` is its name in Great Expectations, `limits` are its arguments."""

    rule: str
    severity: Severity
    kind: str
    limits: dict[str, Any]
    column: str | None = None

    @property
    def name(self) -> str:
        """`rule:column`, or the rule if it has no column."""
        return f"{self.rule}:{self.column}" if self.column else self.rule


def derive_expectations(
    contract: Contract, rows: int, last_volumes: Sequence[int]
) -> list[Expectation]:
    """Return the expectations of the contract for a batch with so many rows.

    `last_volumes` are the row counts of the last published nights. If they are too few for the
    contract, there is no expectation of the volume.
    """
    expected = [
        Expectation(
            "schema",
            "critical",
            "expect_table_columns_to_match_set",
            {"column_set": [*LANDED, *contract.by_name], "exact_match": True},
        ),
        Expectation(
            "row_count", "critical", "expect_table_row_count_to_be_between", {"min_value": 1}
        ),
        Expectation(
            "unique",
            "critical",
            "expect_column_proportion_of_unique_values_to_be_between",
            {"min_value": 1, "max_value": 1},
            KEY,
        ),
        *_volume(contract, last_volumes),
    ]
    for column in contract.monitored:
        if column.max_null_share < 1:
            usual = _usual_null_share(column, rows)
            expected.append(_null_share("null_share", "warning", column, usual))
    for column in contract.columns:
        expected += _values(column)
    return expected


def _volume(contract: Contract, last_volumes: Sequence[int]) -> list[Expectation]:
    from scipy import stats

    policy = contract.ingest.volume
    if len(last_volumes) < policy.min_nights:
        return []
    middle = median(last_volumes)
    bands: tuple[tuple[str, Severity, tuple[float, float]], ...] = (
        ("volume_critical", "critical", policy.critical),
        ("volume", "warning", policy.warning),
    )
    return [
        Expectation(
            rule,
            severity,
            "expect_table_row_count_to_be_between",
            {
                # The volume of a small portfolio varies by chance more than the bands allow.
                "min_value": int(min(low * middle, stats.poisson.ppf(1 - CHANCE, middle))),
                "max_value": int(max(high * middle, stats.poisson.ppf(CHANCE, middle))),
            },
        )
        for rule, severity, (low, high) in bands
    ]


def critical_null_shares(
    contract: Contract, rows: int, columns: Collection[str]
) -> list[Expectation]:
    """Return the critical expectations of null shares for columns with more nulls than usual.

    Other columns do not need it: a column within its usual share is within the critical one too.
    """
    return [
        _null_share("null_share_critical", "critical", column, max(usual, column.null_share_limit))
        for column in contract.monitored
        if column.name in columns
        for usual in [_usual_null_share(column, rows)]
    ]


def _usual_null_share(column: Column, rows: int) -> float:
    """Return the contract's share, widened by chance for so many rows."""
    from scipy import stats

    if not rows:
        return column.max_null_share
    by_chance = float(stats.binom.ppf(CHANCE, rows, column.max_null_share)) / rows
    return max(column.max_null_share, by_chance)


def _null_share(rule: str, severity: Severity, column: Column, share: float) -> Expectation:
    # Rounded down by less than one row, so that a batch exactly at its limit passes.
    mostly = math.floor((1 - share) * 1e9) / 1e9
    kind = "expect_column_values_to_not_be_null"
    return Expectation(rule, severity, kind, {"mostly": mostly}, column.name)


def _values(column: Column) -> list[Expectation]:
    found: list[Expectation] = []
    if column.levels:
        # Row rules reject unknown levels, except in an open column.
        severity: Severity = "warning" if column.open_levels else "critical"
        found.append(
            Expectation(
                "open_levels" if column.open_levels else "levels",
                severity,
                "expect_column_values_to_be_in_set",
                {"value_set": column.levels},
                column.name,
            )
        )
    if column.range and column.range != (None, None):
        found.append(
            Expectation(
                "range",
                "critical",
                "expect_column_values_to_be_between",
                {"min_value": column.range[0], "max_value": column.range[1]},
                column.name,
            )
        )
    return found
