"""Hold one column of a batch against its baseline: every test that fits its type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from loan_scoring.baseline import binned, numeric
from loan_scoring.contract import MonitoringPolicy
from loan_scoring.drift.ks import ks
from loan_scoring.drift.psi import psi, psi_noise
from loan_scoring.drift.shares import chi_square, null_share, unseen_levels
from loan_scoring.drift.wasserstein import wasserstein


@dataclass(frozen=True)
class Test:
    """One test's figures; `p_value` is None where the test has none."""

    name: str
    statistic: float
    effect: float
    threshold: float
    p_value: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A column's tests, and what a person would want to know of the two sides."""

    feature: str
    tests: list[Test]
    psi: float
    psi_noise: float
    facts: dict[str, Any]


def compare(
    feature: str,
    policy: MonitoringPolicy,
    baseline: Mapping[str, Any],
    sample: pa.ChunkedArray,
    values: pa.ChunkedArray,
) -> Comparison:
    """Run every test of one column.

    Args:
        baseline: frozen bins or levels of the column, as baseline.fit gives them.
        sample: the column of the baseline's frozen sample.
        values: the column of the batch.
    """
    nulls = values.null_count
    difference, p_value = null_share(baseline["nulls"], baseline["rows"], nulls, len(values))
    missing = Test("null_share", difference, abs(difference), policy.share_floor, p_value)
    facts: dict[str, Any] = {
        "nulls": nulls / len(values),
        "baseline_nulls": baseline["nulls"] / baseline["rows"],
    }
    if "levels" in baseline:
        tests, expected, counted, more = _categories(policy, baseline, values)
    else:
        tests, expected, counted, more = _numbers(policy, baseline, sample, values)
    if baseline["nulls"] or nulls:
        expected, counted = np.append(expected, baseline["nulls"]), np.append(counted, nulls)
    index = psi(expected, counted)
    noise = psi_noise(
        int(np.count_nonzero(expected + counted)),
        baseline["rows"],
        len(values),
        policy.psi_noise_quantile,
    )
    tests += [missing, Test("psi", index, index, max(noise, policy.psi_attention))]
    return Comparison(feature, tests, index, noise, facts | more)


def _numbers(
    policy: MonitoringPolicy,
    baseline: Mapping[str, Any],
    sample: pa.ChunkedArray,
    values: pa.ChunkedArray,
) -> tuple[list[Test], np.ndarray, np.ndarray, dict[str, Any]]:
    numbers, known = numeric(values), np.sort(numeric(sample))
    counts = binned(numbers, baseline["edges"])
    if not len(numbers) or not len(known):
        return [], np.array(baseline["counts"]), counts, {}
    statistic, p_value = ks(known, numbers)
    distance = wasserstein(known, numbers, baseline["standard_deviation"])
    return (
        [
            Test("ks", statistic, statistic, policy.ks_floor, p_value),
            Test("wasserstein", distance, distance, policy.wasserstein_floor),
        ],
        np.array(baseline["counts"]),
        counts,
        {
            "median": float(np.median(numbers)),
            "baseline_median": baseline["median"],
            "mean": float(np.mean(numbers)),
            "baseline_mean": baseline["mean"],
        },
    )


def _categories(
    policy: MonitoringPolicy, baseline: Mapping[str, Any], values: pa.ChunkedArray
) -> tuple[list[Test], np.ndarray, np.ndarray, dict[str, Any]]:
    counted = {
        each["values"]: each["counts"] for each in values.drop_null().value_counts().to_pylist()
    }
    levels = baseline["levels"]
    unseen = {level: count for level, count in counted.items() if level not in set(levels)}
    expected = np.array(baseline["counts"], dtype=int)
    actual = np.array([counted.get(level, 0) for level in levels], dtype=int)
    tests = []
    if expected.sum() and actual.sum():
        statistic, p_value, distance = chi_square(expected, actual)
        tests.append(Test("chi_square", statistic, distance, policy.share_floor, p_value))
    share, p_value = unseen_levels(sum(unseen.values()), baseline["rows"], len(values))
    tests.append(Test("unseen_levels", share, share, policy.unseen_floor, p_value))
    facts: dict[str, Any] = {
        "shares": {level: count / len(values) for level, count in sorted(counted.items())},
        "baseline_shares": {
            level: count / baseline["rows"]
            for level, count in zip(levels, expected.tolist(), strict=True)
        },
        "unseen": sorted(unseen),
    }
    if unseen:
        expected = np.append(expected, 0)
        actual = np.append(actual, sum(unseen.values()))
    return tests, expected, actual, facts
