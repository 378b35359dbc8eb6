"""Compare each column of a batch with a model's baseline, with all tests for the column's type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract, MonitoringPolicy
from loan_scoring.models.baseline import (
    PREDICTIONS,
    explained_values,
    present_numbers,
)
from loan_scoring.monitoring.drift.calendar_columns import compare_calendar
from loan_scoring.monitoring.drift.categories import compare_categories
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.joint import JointBaseline
from loan_scoring.monitoring.drift.profiles import category_profile, number_profile
from loan_scoring.monitoring.drift.statistical_tests import (
    ks,
    null_share,
    rank_sum,
    wasserstein,
)
from loan_scoring.monitoring.drift.usual_nights import UsualNights
from loan_scoring.statistics.distribution import Distribution, merged_counts
from loan_scoring.statistics.psi import psi, psi_by_chance, psi_noise


@dataclass(frozen=True)
class BaselineColumn:
    """One column of a baseline, prepared once and then compared with any number of batches."""

    frozen: Mapping[str, Any]
    """Bins or levels, counts and moments, from `models.baseline.fit_column_baseline`."""
    distribution: Distribution | None
    """Distribution of a numeric column's frozen sample. None if the column is a category."""
    calendar: str | None = None
    """Field `calendar` of the column: `year` or `month`."""

    @classmethod
    def fit(
        cls, frozen: Mapping[str, Any], sample: pa.ChunkedArray, calendar: str | None = None
    ) -> "BaselineColumn":
        """Prepare a column of the baseline from its frozen figures and its frozen sample."""
        distribution = None if "levels" in frozen else Distribution.of(present_numbers(sample))
        return cls(frozen, distribution, calendar)

    def expected(self, usual: UsualNights) -> "BaselineColumn":
        """Return the column with the shares that its baseline would have on a weekday."""
        return replace(
            self,
            frozen=usual.expected(self.frozen),
            distribution=usual.expected_distribution(self.frozen, self.distribution),
        )


@dataclass(frozen=True)
class FittedBaseline:
    """All columns of a model's baseline, fitted once and compared with any number of batches."""

    columns: dict[str, BaselineColumn]
    joint: JointBaseline | None
    """The baseline of the joint tests. None if the sample has too few rows for these tests."""

    @classmethod
    def fit(
        cls, contract: Contract, frozen: Mapping[str, Any], sample: pa.Table
    ) -> "FittedBaseline":
        """Prepare the baseline of a model for comparisons with batches.

        A monitored column or a prediction that was added after the model was trained is not in
        the model's baseline. Such a column is left out.

        Args:
            contract: contract that names the monitored columns.
            frozen: column `baseline` of the model's row in table `models`.
            sample: frozen sample of the baseline.
        """
        inputs = [
            column.name
            for column in contract.monitored
            if column.name in frozen and frozen[column.name]["rows"]
        ]
        declared = contract.by_name
        always = [
            name
            for name in inputs
            if not declared[name].is_absent_at_times and declared[name].calendar is None
        ]
        outputs = [name for name in PREDICTIONS if name in frozen]
        return cls(
            {
                name: BaselineColumn.fit(
                    frozen[name],
                    explained_values(contract, name, sample.column(name)),
                    declared[name].calendar if name in declared else None,
                )
                for name in [*inputs, *outputs]
            },
            JointBaseline.fit(
                contract.monitoring, frozen, sample.select(always), contract.training.seed
            )
            if always
            else None,
        )

    @property
    def inputs(self) -> list[str]:
        """Return the names of the monitored inputs, in the order of the contract."""
        return [name for name in self.columns if name not in PREDICTIONS]

    @property
    def outputs(self) -> list[str]:
        """Return the names of the monitored columns that scoring writes, such as `decision`."""
        return [name for name in self.columns if name in PREDICTIONS]

    def together(self, policy: MonitoringPolicy, batch: pa.Table) -> list[Comparison]:
        """Return the joint tests of all inputs of a batch, as a list with one comparison.

        Return an empty list if the baseline or the batch has too few rows.
        """
        found = self.joint.compare(policy, batch) if self.joint else None
        return [found] if found else []


def compare_columns(
    contract: Contract,
    baseline: FittedBaseline,
    batch: pa.Table,
    features: Sequence[str],
    usual: Mapping[str, UsualNights] | None = None,
    day: date | None = None,
) -> list[Comparison]:
    """Return the drift tests of some columns of a batch.

    A column that some files lack is compared without its nulls, and left out if it has no value.

    Args:
        contract: contract with the columns and the monitoring policy.
        baseline: fitted baseline.
        batch: rows of the batch.
        features: names of the columns to compare.
        usual: what earlier nights show, for the columns that have enough nights.
        day: business date of the batch, for calendar columns. None for `history`.
    """
    found = []
    for name in features:
        values = batch.column(name)
        present = explained_values(contract, name, values)
        if len(present):
            column = baseline.columns[name]
            of_column = usual.get(name) if usual else None
            compared = compare_column(name, contract.monitoring, column, present, of_column, day)
            compared.facts["nulls"] = values.null_count / len(values)
            found.append(compared)
    return found


def compare_column(
    feature: str,
    policy: MonitoringPolicy,
    column: BaselineColumn,
    values: pa.ChunkedArray,
    usual: UsualNights | None = None,
    day: date | None = None,
) -> Comparison:
    """Return the drift tests of one column of a batch. The batch must have at least one row.

    The PSI is corrected by its mean without drift, so that the PSI of a small batch is not high
    for that reason alone. If it is known what is usual, the batch is compared with what the
    baseline would be on this weekday, and the p-values allow for the difference between nights. A
    calendar column is compared with the date and not with other nights.
    """
    if usual is not None and column.calendar is None:
        of_weekday = compare_column(feature, policy, column.expected(usual), values)
        return usual.judged(column.frozen, of_weekday)
    frozen, nulls = column.frozen, values.null_count
    difference, p_value = null_share(frozen["nulls"], frozen["rows"], nulls, len(values))
    missing = DriftTest("null_share", difference, abs(difference), policy.share_floor, p_value)
    counts: list[int] | dict[str, int]
    if column.distribution is None:
        counts = count_levels(values)
        counts = count_levels(values)
        profile = category_profile(counts, nulls)
        tests, expected, actual, facts = compare_categories(policy, frozen, counts, len(values))
        if "other" in frozen:
            counts = {level: counts.get(level, 0) for level in frozen["levels"]}
    else:
        batch = Distribution.of(present_numbers(values))
        profile = number_profile(batch, nulls)
        counts = batch.counts(np.asarray(frozen["edges"], dtype=float)).tolist()
        if column.calendar is not None:
            tests, expected, actual, facts = compare_calendar(
                policy, column.calendar, column.distribution, batch, day
            )
        else:
            expected, actual = np.array(frozen["counts"]), np.array(counts)
            tests, facts = _numbers(policy, frozen, column.distribution, batch)
    if frozen["nulls"] or nulls:
        expected, actual = np.append(expected, frozen["nulls"]), np.append(actual, nulls)
    index, cells = psi(expected, actual), int(np.count_nonzero(expected + actual))
    chance = psi_by_chance(cells, frozen["rows"], len(values))
    noise = psi_noise(cells, frozen["rows"], len(values), policy.psi_noise_quantile) - chance
    corrected = max(index - chance, 0.0)
    tests += [missing, DriftTest("psi", index, corrected, max(noise, policy.psi_attention))]
    facts |= {
        "nulls": nulls / len(values),
        "baseline_nulls": frozen["nulls"] / frozen["rows"],
        "psi_uncorrected": index,
    }
    return Comparison(feature, tests, corrected, noise, facts, counts, profile)


def count_levels(values: pa.ChunkedArray) -> dict[str, int]:
    """Return the number of rows of each level, the most frequent level first, without nulls."""
    found = [each for each in values.value_counts().to_pylist() if each["values"] is not None]
    found.sort(key=lambda each: (-each["counts"], each["values"]))
    return {each["values"]: each["counts"] for each in found}


def _numbers(
    policy: MonitoringPolicy,
    frozen: Mapping[str, Any],
    baseline: Distribution,
    batch: Distribution,
) -> tuple[list[DriftTest], dict[str, Any]]:
    """Return the drift tests of a numeric column, and facts for alerts."""
    if not batch.size or not baseline.size:
        return [], {}
    points, before, now = merged_counts(baseline, batch)
    heights = before / baseline.size - now / batch.size
    statistic, p_value = ks(heights, baseline.size, batch.size)
    higher, p_ranks = rank_sum(before, now)
    distance = wasserstein(points, heights, frozen["standard_deviation"])
    return (
        [
            DriftTest("ks", statistic, statistic, policy.ks_floor, p_value),
            DriftTest("rank_sum", higher, abs(higher - 0.5), policy.rank_floor, p_ranks),
            DriftTest("wasserstein", distance, distance, policy.wasserstein_floor),
        ],
        {
            "median": batch.median,
            "baseline_median": frozen["median"],
            "mean": batch.mean,
            "baseline_mean": frozen["mean"],
        },
    )
