"""Compare each column of a batch with a model's baseline, with all tests for the column's type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import Contract, MonitoringPolicy
from loan_scoring.models.baseline import PREDICTIONS, explained_values, present_numbers
from loan_scoring.monitoring.drift.comparison import OTHER, Comparison, DriftTest
from loan_scoring.monitoring.drift.joint import JointBaseline
from loan_scoring.monitoring.drift.profiles import category_profile, number_profile
from loan_scoring.monitoring.drift.statistical_tests import (
    chi_square,
    jensen_shannon,
    ks,
    null_share,
    psi,
    psi_noise,
    unseen_levels,
    wasserstein,
)
from loan_scoring.monitoring.drift.usual_nights import UsualNights
from loan_scoring.statistics.distribution import Distribution, cdf_gaps


@dataclass(frozen=True)
class BaselineColumn:
    """One column of a baseline, prepared once and then compared with any number of batches."""

    frozen: Mapping[str, Any]
    """Bins or levels, counts and moments of the column, from `models.baseline.fit_baseline`."""
    distribution: Distribution | None
    """Distribution of a numeric column's frozen sample. None if the column is a category."""

    @classmethod
    def fit(cls, frozen: Mapping[str, Any], sample: pa.ChunkedArray) -> "BaselineColumn":
        """Prepare a column of the baseline from its frozen figures and its frozen sample."""
        return cls(frozen, None if "levels" in frozen else Distribution.of(present_numbers(sample)))

    def expected(self, usual: UsualNights) -> "BaselineColumn":
        """Return the column with the shares that its baseline would have on a weekday."""
        return BaselineColumn(
            usual.expected(self.frozen),
            usual.expected_distribution(self.frozen, self.distribution),
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
        always = [name for name in inputs if not contract.by_name[name].is_absent_at_times]
        outputs = [name for name in PREDICTIONS if name in frozen]
        return cls(
            {
                name: BaselineColumn.fit(frozen[name], sample.column(name))
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
    usual: Mapping[str, UsualNights],
) -> list[Comparison]:
    """Return the drift tests of some columns of a batch.

    A column that some files lack is compared without its nulls, and left out if it has no value.
    `usual` is what earlier nights show, for the columns that have enough nights.
    """
    found = []
    for name in features:
        values = batch.column(name)
        present = explained_values(contract, name, values)
        if len(present):
            compared = compare_column(
                name, contract.monitoring, baseline.columns[name], present, usual.get(name)
            )
            compared.facts["nulls"] = values.null_count / len(values)
            found.append(compared)
    return found


def compare_column(
    feature: str,
    policy: MonitoringPolicy,
    column: BaselineColumn,
    values: pa.ChunkedArray,
    usual: UsualNights | None = None,
) -> Comparison:
    """Return the drift tests of one column of a batch. The batch must have at least one row.

    If it is known what is usual, the batch is compared with what the baseline would be on this
    weekday, and the p-values allow for the difference between nights.
    """
    if usual is not None:
        of_weekday = compare_column(feature, policy, column.expected(usual), values)
        return usual.judged(column.frozen, of_weekday)
    frozen, nulls = column.frozen, values.null_count
    difference, p_value = null_share(frozen["nulls"], frozen["rows"], nulls, len(values))
    missing = DriftTest("null_share", difference, abs(difference), policy.share_floor, p_value)
    facts: dict[str, Any] = {
        "nulls": nulls / len(values),
        "baseline_nulls": frozen["nulls"] / frozen["rows"],
    }
    counts: list[int] | dict[str, int]
    if column.distribution is None:
        counts = count_levels(values)
        profile = category_profile(counts, nulls)
        if "other" in frozen:
            counts = {level: counts.get(level, 0) for level in frozen["levels"]}
        tests, expected, actual, more = _categories(policy, frozen, values, counts)
    else:
        batch = Distribution.of(present_numbers(values))
        profile = number_profile(batch, nulls)
        tests, expected, actual, more = _numbers(policy, frozen, column.distribution, batch)
        counts = actual.tolist()
    if frozen["nulls"] or nulls:
        expected, actual = np.append(expected, frozen["nulls"]), np.append(actual, nulls)
    index = psi(expected, actual)
    noise = psi_noise(
        int(np.count_nonzero(expected + actual)),
        frozen["rows"],
        len(values),
        policy.psi_noise_quantile,
    )
    tests += [missing, DriftTest("psi", index, index, max(noise, policy.psi_attention))]
    return Comparison(feature, tests, index, noise, facts | more, counts, profile)


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
) -> tuple[list[DriftTest], np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the drift tests of a numeric column, two arrays of counts, and facts for alerts.

    The arrays are the counts per bin of the baseline and of the batch.
    """
    counts = batch.counts(np.asarray(frozen["edges"], dtype=float))
    if not batch.size or not baseline.size:
        return [], np.array(frozen["counts"]), counts, {}
    points, heights = cdf_gaps(baseline, batch)
    statistic, p_value = ks(heights, baseline.size, batch.size)
    distance = wasserstein(points, heights, frozen["standard_deviation"])
    return (
        [
            DriftTest("ks", statistic, statistic, policy.ks_floor, p_value),
            DriftTest("wasserstein", distance, distance, policy.wasserstein_floor),
        ],
        np.array(frozen["counts"]),
        counts,
        {
            "median": batch.median,
            "baseline_median": frozen["median"],
            "mean": batch.mean,
            "baseline_mean": frozen["mean"],
        },
    )


def _categories(
    policy: MonitoringPolicy,
    frozen: Mapping[str, Any],
    values: pa.ChunkedArray,
    counted: dict[str, int],
) -> tuple[list[DriftTest], np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the drift tests of a categorical column, the counts per level, and facts for alerts.

    The counts are returned first for the baseline and then for the batch. If the batch has levels
    that are not in the baseline, the last count is the number of rows with such a level. If the
    baseline has the group OTHER, all such rows are in it, and no level counts as unseen.
    """
    rest = len(values) - values.null_count - sum(counted.values())
    if frozen.get("other") or rest:  # never without the group, because then all levels are counted
        counted = {**counted, OTHER: rest}
        frozen = {
            **frozen,
            "levels": [*frozen["levels"], OTHER],
            "counts": [*frozen["counts"], frozen["other"]],
        }
    levels = frozen["levels"]
    unseen = {level: count for level, count in counted.items() if level not in set(levels)}
    expected = np.array(frozen["counts"], dtype=int)
    actual = np.array([counted.get(level, 0) for level in levels], dtype=int)
    tests = []
    if expected.sum() and actual.sum():
        statistic, p_value, distance = chi_square(expected, actual)
        tests.append(DriftTest("chi_square", statistic, distance, policy.share_floor, p_value))
    if "other" not in frozen:
        share, p_value = unseen_levels(sum(unseen.values()), frozen["rows"], len(values))
        tests.append(DriftTest("unseen_levels", share, share, policy.unseen_floor, p_value))
    facts: dict[str, Any] = {
        "shares": {level: count / len(values) for level, count in sorted(counted.items())},
        "baseline_shares": {
            level: count / frozen["rows"]
            for level, count in zip(levels, expected.tolist(), strict=True)
        },
        "unseen": sorted(unseen),
    }
    if unseen:
        expected = np.append(expected, 0)
        actual = np.append(actual, sum(unseen.values()))
    if expected.sum() and actual.sum():
        distance = jensen_shannon(expected, actual)
        tests.append(DriftTest("jensen_shannon", distance, distance, policy.jensen_shannon_floor))
    return tests, expected, actual, facts
