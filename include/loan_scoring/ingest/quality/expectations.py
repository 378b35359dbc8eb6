"""Derive from the contract what a batch must look like, as expectations with limits."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo

from loan_scoring.contract import HISTORY, KEY, Column, Contract
from loan_scoring.contract.column_rules import TIMES
from loan_scoring.contract.presence import may_lack

CHANCE = 0.9999
"""The quantile up to which a deviation counts as chance.

A limit of the contract is widened to this quantile of a binomial distribution (nulls) or a Poisson
distribution (row counts), so that small batches do not fail by chance.
"""

LANDED = ("batch_id", "revision", "line_number")
"""The columns of table `applications` that are not in the contract."""

QUARANTINED = "quarantined"
"""The type of the expectations on quarantined rows, and the first part of their names."""

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Expectation:
    """A condition that a batch must meet.

    `rule` is the name of the condition in this project. `kind` is the type of expectation in Great
    Expectations, and `limits` are the arguments for this type. Great Expectations does not know the
    type `QUARANTINED`.
    """

    rule: str
    severity: Severity
    kind: str
    limits: dict[str, Any]
    column: str | None = None

    @property
    def name(self) -> str:
        """The name `rule:column`, or only the rule if the expectation is about the whole batch."""
        return f"{self.rule}:{self.column}" if self.column else self.rule

    @property
    def subject(self) -> str:
        """The subject of an alert: a row rule as `rule:column`, a column, or `batch`."""
        if self.rule.startswith(f"{QUARANTINED}:"):
            return self.name.removeprefix(f"{QUARANTINED}:")
        return self.column or "batch"


def derive_expectations(
    contract: Contract, rows: int, last_volumes: Sequence[int], batch_id: str = HISTORY
) -> list[Expectation]:
    """Return the expectations that the contract sets for a batch.

    Nulls are not checked in a column that the file of the batch may lack.

    Args:
        contract: contract of the portfolio.
        rows: number of accepted rows of the batch.
        last_volumes: row counts of the last published nights. With fewer nights than the
            contract's `min_nights`, the expectations `volume` and `volume_critical` are left out.
        batch_id: batch that is judged.
    """
    expected = [
        Expectation(
            "schema",
            "critical",
            "expect_table_columns_to_match_set",
            {"column_set": [*LANDED, *(c.name for c in contract.stored)], "exact_match": True},
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
        *volume_expectations(contract, last_volumes),
    ]
    for column in contract.monitored:
        if column.max_null_share < 1 and not may_lack(column, batch_id):
            usual = _usual_null_share(column, rows)
            expected.append(_null_share("null_share", "warning", column, usual))
    for column in contract.columns:
        expected += _values(column, contract.schedules.timezone)
    return expected


def volume_expectations(contract: Contract, last_volumes: Sequence[int]) -> list[Expectation]:
    """Return the expectations on the number of rows. None if there are too few last nights."""
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
                # In a small portfolio, chance changes the row count by more than the bands allow.
                # Therefore the limits are at least as wide as chance explains.
                "min_value": int(min(low * middle, stats.poisson.ppf(1 - CHANCE, middle))),
                "max_value": int(max(high * middle, stats.poisson.ppf(CHANCE, middle))),
            },
        )
        for rule, severity, (low, high) in bands
    ]


def critical_null_shares(
    contract: Contract, rows: int, columns: Collection[str]
) -> list[Expectation]:
    """Return critical expectations on the null shares of columns with too many nulls.

    Only these columns need a critical expectation. A column that is within its usual share of nulls
    is also within its critical share.

    Args:
        contract: contract of the portfolio.
        rows: number of accepted rows of the batch.
        columns: names of the columns that exceed their usual share of nulls.
    """
    return [
        _null_share("null_share_critical", "critical", column, max(usual, column.null_share_limit))
        for column in contract.monitored
        if column.name in columns
        for usual in [_usual_null_share(column, rows)]
    ]


def _usual_null_share(column: Column, rows: int) -> float:
    """Return the largest usual share of nulls in a batch of `rows` rows, with chance included."""
    from scipy import stats

    if not rows:
        return column.max_null_share
    by_chance = float(stats.binom.ppf(CHANCE, rows, column.max_null_share)) / rows
    return max(column.max_null_share, by_chance)


def _null_share(rule: str, severity: Severity, column: Column, share: float) -> Expectation:
    # The share is rounded down at nine decimals, because otherwise a rounding error could fail a
    # batch that is exactly at its limit. The change of the limit is less than one row.
    mostly = math.floor((1 - share) * 1e9) / 1e9
    kind = "expect_column_values_to_not_be_null"
    return Expectation(rule, severity, kind, {"mostly": mostly}, column.name)


def _values(column: Column, timezone: str) -> list[Expectation]:
    found: list[Expectation] = []
    if column.listed_levels:
        # If `open_levels` is False, a failure is critical, because the row rules should have
        # rejected rows with unknown levels. If `open_levels` is True, a failure is only a warning,
        # because the row rules accept any level.
        severity: Severity = "warning" if column.open_levels else "critical"
        found.append(
            Expectation(
                "open_levels" if column.open_levels else "levels",
                severity,
                "expect_column_values_to_be_in_set",
                {"value_set": column.listed_levels},
                column.name,
            )
        )
    if column.range and column.range != (None, None):
        found.append(
            Expectation(
                "range",
                "critical",
                "expect_column_values_to_be_between",
                dict(zip(("min_value", "max_value"), _limits(column, timezone), strict=True)),
                column.name,
            )
        )
    return found


def _limits(column: Column, timezone: str) -> tuple[float | str | None, float | str | None]:
    """Return the range of a column. Dates and times are texts, because limits are kept as JSON."""
    if column.type not in TIMES:
        return column.bounds
    low, high = column.date_bounds
    if column.type == "date":
        return str(low) if low else None, str(high) if high else None
    zone = ZoneInfo(timezone)
    return (
        datetime.combine(low, time.min, zone).isoformat() if low else None,
        datetime.combine(high, time.max, zone).isoformat() if high else None,
    )
