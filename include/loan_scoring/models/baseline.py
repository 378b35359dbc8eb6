"""What a model saw when it was fitted: the frozen bins, levels and sample that drift is told by."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring.contract import Contract
from loan_scoring.statistics.distribution import Distribution

PREDICTIONS = ("default_probability", "decision", "persona", "reason_1")
"""What scoring writes and drift of kind `prediction` watches."""


SCORE_BINS = 40
"""Even bins from 0 to 1 in which histograms of scores are drawn."""


def fit_baseline(contract: Contract, table: pa.Table) -> dict[str, Any]:
    """Freeze bins, counts and moments of every column of `table`, fit for JSON.

    A number has `edges` (inner bin edges, ascending), `counts` (bins), `mean`, `median`,
    `standard_deviation`; a category `levels` and `counts`; both `rows` and `nulls`.
    """
    return {
        name: fit_column_baseline(table.column(name), contract.monitoring.bins)
        for name in table.column_names
    }


def fit_column_baseline(values: pa.ChunkedArray, bins: int) -> dict[str, Any]:
    """Freeze one column."""
    nulls = values.null_count
    common = {"rows": len(values), "nulls": nulls}
    if pa.types.is_string(values.type):
        counted = values.drop_null().value_counts().to_pylist()
        levels = sorted(counted, key=lambda each: (-each["counts"], each["values"]))
        return {
            **common,
            "levels": [each["values"] for each in levels],
            "counts": [each["counts"] for each in levels],
        }
    numbers = present_numbers(values)
    edges = _edges(numbers, bins)
    return {
        **common,
        "edges": [float(edge) for edge in edges],
        "counts": Distribution.of(numbers).counts(edges).tolist(),
        "mean": float(np.mean(numbers)) if len(numbers) else None,
        "median": float(np.median(numbers)) if len(numbers) else None,
        "standard_deviation": float(np.std(numbers)) if len(numbers) else None,
    }


def _edges(numbers: np.ndarray, bins: int) -> np.ndarray:
    """Return the inner edges of equally frequent bins, ascending, each once.

    A value that fills a bin on its own has one on its own, so that moving off it is seen on either
    side: of loans that nearly all run for 360 months, and of a year that was always the same.
    """
    if not len(numbers):
        return numbers
    quantiles = np.quantile(numbers, np.arange(bins + 1) / bins)
    alone = quantiles[1:][quantiles[1:] == quantiles[:-1]]
    return np.unique(np.concatenate([quantiles[1:-1], alone, np.nextafter(alone, np.inf)]))


def present_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Return the values that are there as float64."""
    return np.asarray(values.drop_null().cast(pa.float64()).to_numpy())


def sample_rows(table: pa.Table, rows: int, seed: int) -> bytes:
    """Return at most `rows` rows of the table as a Parquet file, chosen by the seed."""
    if table.num_rows > rows:
        chosen = np.random.default_rng(seed).choice(table.num_rows, rows, replace=False)
        table = table.take(pa.array(np.sort(chosen)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def predictions_of_other_policy(run: Mapping[str, Any], model: Mapping[str, Any]) -> set[str]:
    """Return the predictions of a scoring run that a model's baseline says nothing of.

    The same applicants get other decisions, and reasons for them, under other thresholds, and other
    applicants are scored under other exclusions. Where a policy is not on record it is taken for
    the same.
    """
    now, then = run["policy"], model["training_data"].get("policy")
    if now is None or then is None or now == then:
        return set()
    if now["exclusions"] != then["exclusions"]:
        return set(PREDICTIONS)
    return {"decision", "reason_1"}


def read_baseline_sample(content: bytes) -> pa.Table:
    """Return the sample of a baseline."""
    return pq.read_table(io.BytesIO(content))
