"""The baseline of a model: bins, levels, counts and a sample, frozen when it was fitted."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring.contract import Contract
from loan_scoring.statistics.distribution import Distribution

PREDICTIONS = ("default_probability", "decision", "persona", "reason_1")
"""The columns of scores that drift of kind `prediction` watches."""

SCORE_BINS = 40
"""Equal bins from 0 to 1 of every histogram of scores."""


def fit_baseline(contract: Contract, table: pa.Table) -> dict[str, Any]:
    """Return the baseline of every column of `table`, fit for JSON.

    A number has `edges` (inner bin edges, ascending), `counts` (per bin), `mean`, `median` and
    `standard_deviation`; a category has `levels` and `counts`; both have `rows` and `nulls`.
    """
    return {
        name: fit_column_baseline(table.column(name), contract.monitoring.bins)
        for name in table.column_names
    }


def fit_column_baseline(values: pa.ChunkedArray, bins: int) -> dict[str, Any]:
    """Return the baseline of one column."""
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

    A value that fills a whole bin gets a bin of its own, so that a move off it shows on either
    side: for example a term of 360 months in nearly all loans, or a year that never varied.
    """
    if not len(numbers):
        return numbers
    quantiles = np.quantile(numbers, np.arange(bins + 1) / bins)
    alone = quantiles[1:][quantiles[1:] == quantiles[:-1]]
    return np.unique(np.concatenate([quantiles[1:-1], alone, np.nextafter(alone, np.inf)]))


def present_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Return the values without nulls, as float64."""
    return np.asarray(values.drop_null().cast(pa.float64()).to_numpy())


def sample_rows(table: pa.Table, rows: int, seed: int) -> bytes:
    """Return at most `rows` random rows of the table, drawn by the seed, as a Parquet file."""
    if table.num_rows > rows:
        chosen = np.random.default_rng(seed).choice(table.num_rows, rows, replace=False)
        table = table.take(pa.array(np.sort(chosen)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def predictions_of_other_policy(run: Mapping[str, Any], model: Mapping[str, Any]) -> set[str]:
    """Return the predictions of a scoring run that cannot be compared with a model's baseline.

    Other thresholds give the same applicants other decisions and reasons. Other exclusions let
    other applicants be scored. A policy that is not on record counts as unchanged.
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
