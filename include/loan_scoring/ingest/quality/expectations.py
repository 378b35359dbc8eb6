"""What the contract lets a batch expect: each expectation's limits, and what its failure means."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from loan_scoring.contract import KEY, Column, Contract

CHANCE = 0.9999
"""What a batch of its size shows by chance this often is no finding."""

LANDED = ("batch_id", "revision", "line_number")
"""Columns of applications that are ours, not the contract's."""

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Expectation:
    """One statement about a batch: `kind` is Great Expectations' name of it, `limits` its terms."""

    rule: str
    severity: Severity
    kind: str
    limits: dict[str, Any]
    column: str | None = None

    @property
    def name(self) -> str:
        """The rule, with its column where it has one."""
        return f"{self.rule}:{self.column}" if self.column else self.rule


def derive_expectations(
    contract: Contract, rows: int, last_volumes: Sequence[int]
) -> list[Expectation]:
    """Return what the contract expects of a batch of so many rows.

    `last_volumes` are the row counts of the last published nights; where they are too few for the
    contract, nothing is expected of the volume.
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
                # A portfolio of few loans a night varies more than any band of multiples allows.
                "min_value": int(min(low * middle, stats.poisson.ppf(1 - CHANCE, middle))),
                "max_value": int(max(high * middle, stats.poisson.ppf(CHANCE, middle))),
            },
        )
        for rule, severity, (low, high) in bands
    ]


def critical_null_shares(
    contract: Contract, rows: int, columns: Collection[str]
) -> list[Expectation]:
    """Return what refuses a batch where columns have more nulls than usual.

    It is asked only then: a column within its usual share is within the grave one too.
    """
    return [
        _null_share("null_share_critical", "critical", column, max(usual, column.null_share_limit))
        for column in contract.monitored
        if column.name in columns
        for usual in [_usual_null_share(column, rows)]
    ]


def _usual_null_share(column: Column, rows: int) -> float:
    """Return the contract's share, or what chance makes of it in so many rows."""
    from scipy import stats

    if not rows:
        return column.max_null_share
    by_chance = float(stats.binom.ppf(CHANCE, rows, column.max_null_share)) / rows
    return max(column.max_null_share, by_chance)


def _null_share(rule: str, severity: Severity, column: Column, share: float) -> Expectation:
    # Rounded down by less than a row: a batch at its limit is within it.
    mostly = math.floor((1 - share) * 1e9) / 1e9
    kind = "expect_column_values_to_not_be_null"
    return Expectation(rule, severity, kind, {"mostly": mostly}, column.name)


def _values(column: Column) -> list[Expectation]:
    found: list[Expectation] = []
    if column.levels:
        # An open column lets unknown levels in; of a closed one row rules have kept them out.
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
