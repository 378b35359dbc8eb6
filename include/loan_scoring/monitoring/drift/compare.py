"""Hold one column of a batch against its baseline: every test that fits its type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.contract import MonitoringPolicy
from loan_scoring.models.baseline import present_numbers
from loan_scoring.monitoring.drift.comparison import Comparison, DriftTest
from loan_scoring.monitoring.drift.jensen_shannon import jensen_shannon
from loan_scoring.monitoring.drift.ks import ks
from loan_scoring.monitoring.drift.psi import psi, psi_noise
from loan_scoring.monitoring.drift.shares import chi_square, null_share, unseen_levels
from loan_scoring.monitoring.drift.wasserstein import wasserstein
from loan_scoring.statistics.distribution import Distribution, cdf_gaps


@dataclass(frozen=True)
class BaselineColumn:
    """A column's side of the baseline: bins or levels, and its sample, sorted once."""

    frozen: Mapping[str, Any]
    known: Distribution | None
    """Of a number's sample; None of a category."""

    @classmethod
    def fit(cls, frozen: Mapping[str, Any], sample: pa.ChunkedArray) -> "BaselineColumn":
        """Take what baseline.fit froze of a column, and the column of the frozen sample."""
        return cls(frozen, None if "levels" in frozen else Distribution.of(present_numbers(sample)))


def compare_column(
    feature: str, policy: MonitoringPolicy, column: BaselineColumn, values: pa.ChunkedArray
) -> Comparison:
    """Run every test of one column of a batch, of which there is at least one row."""
    frozen, nulls = column.frozen, values.null_count
    difference, p_value = null_share(frozen["nulls"], frozen["rows"], nulls, len(values))
    missing = DriftTest("null_share", difference, abs(difference), policy.share_floor, p_value)
    facts: dict[str, Any] = {
        "nulls": nulls / len(values),
        "baseline_nulls": frozen["nulls"] / frozen["rows"],
    }
    told: list[int] | dict[str, int]
    if column.known is None:
        told = count_levels(values)
        tests, expected, counted, more = _categories(policy, frozen, values, told)
    else:
        tests, expected, counted, more = _numbers(policy, frozen, column.known, values)
        told = counted.tolist()
    if frozen["nulls"] or nulls:
        expected, counted = np.append(expected, frozen["nulls"]), np.append(counted, nulls)
    index = psi(expected, counted)
    noise = psi_noise(
        int(np.count_nonzero(expected + counted)),
        frozen["rows"],
        len(values),
        policy.psi_noise_quantile,
    )
    tests += [missing, DriftTest("psi", index, index, max(noise, policy.psi_attention))]
    return Comparison(feature, tests, index, noise, facts | more, told)


def count_levels(values: pa.ChunkedArray) -> dict[str, int]:
    """Return how many rows each level has, the commonest first."""
    found = [each for each in values.value_counts().to_pylist() if each["values"] is not None]
    found.sort(key=lambda each: (-each["counts"], each["values"]))
    return {each["values"]: each["counts"] for each in found}


def _numbers(
    policy: MonitoringPolicy,
    frozen: Mapping[str, Any],
    known: Distribution,
    values: pa.ChunkedArray,
) -> tuple[list[DriftTest], np.ndarray, np.ndarray, dict[str, Any]]:
    batch = Distribution.of(present_numbers(values))
    counts = batch.counts(np.asarray(frozen["edges"], dtype=float))
    if not batch.size or not known.size:
        return [], np.array(frozen["counts"]), counts, {}
    points, heights = cdf_gaps(known, batch)
    statistic, p_value = ks(heights, known.size, batch.size)
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
    levels = frozen["levels"]
    unseen = {level: count for level, count in counted.items() if level not in set(levels)}
    expected = np.array(frozen["counts"], dtype=int)
    actual = np.array([counted.get(level, 0) for level in levels], dtype=int)
    tests = []
    if expected.sum() and actual.sum():
        statistic, p_value, distance = chi_square(expected, actual)
        tests.append(DriftTest("chi_square", statistic, distance, policy.share_floor, p_value))
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
        moved = jensen_shannon(expected, actual)
        tests.append(DriftTest("jensen_shannon", moved, moved, policy.jensen_shannon_floor))
    return tests, expected, actual, facts
