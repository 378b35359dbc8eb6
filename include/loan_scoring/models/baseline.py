"""Compute the baseline of a model, with which later batches are compared to find drift.

The baseline has bins, levels and counts of each column, and a sample of rows. The baseline is
computed when the model is fitted and does not change afterwards.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring.contract import Contract
from loan_scoring.models.numbers import as_floats
from loan_scoring.models.reasons import METHOD
from loan_scoring.statistics.distribution import Distribution

PREDICTIONS = ("default_probability", "decision", "persona", "reason_1")
"""The columns of a score that are tested for drift of kind `prediction`."""

SCORE_BINS = 40
"""The number of bins of a score histogram. The bins have equal widths and cover 0 to 1."""


def fit_baseline(contract: Contract, table: pa.Table) -> dict[str, Any]:
    """Return the baseline of every column of `table`, by column name, ready for JSON.

    Every column has `rows` and `nulls`. A numeric column also has `edges` (inner bin edges,
    ascending), `counts` (rows per bin), `mean`, `median` and `standard_deviation`. A categorical
    column also has `levels`, the most frequent level first, and `counts` (rows per level). A
    category with `most_levels` has at most so many levels, and `other`, the rows with another one.
    """
    limits = {column.name: column.most_levels for column in contract.monitored}
    return {
        name: fit_column_baseline(
            explained_values(contract, name, table.column(name)),
            contract.monitoring.bins,
            limits.get(name),
        )
        for name in table.column_names
    }


def watched_columns(table: pa.Table) -> pa.Table:
    """Return a table as drift tests compare it: the levels of a boolean are `true` and `false`."""
    for place, field in enumerate(table.schema):
        if pa.types.is_boolean(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    return table


def explained_values(contract: Contract, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a column whose nulls say something about the loans.

    A column that some files lack is compared without its nulls, because the contract explains them.
    """
    column = contract.by_name.get(name)
    return values.drop_null() if column is not None and column.is_absent_at_times else values


def fit_column_baseline(
    values: pa.ChunkedArray, bins: int, most_levels: int | None = None
) -> dict[str, Any]:
    """Return the baseline of one column, with the keys that `fit_baseline` lists."""
    nulls = values.null_count
    common = {"rows": len(values), "nulls": nulls}
    if pa.types.is_string(values.type):
        counted = values.drop_null().value_counts().to_pylist()
        levels = sorted(counted, key=lambda each: (-each["counts"], each["values"]))
        kept = levels if most_levels is None else levels[:most_levels]
        other = sum(each["counts"] for each in levels[len(kept) :])
        return {
            **common,
            "levels": [each["values"] for each in kept],
            "counts": [each["counts"] for each in kept],
            **({} if most_levels is None else {"other": other}),
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
    """Return the inner edges of bins with about equal row counts, distinct and ascending.

    A value so frequent that it would fill a whole bin gets a bin of its own. So a shift from this
    value to smaller or larger values shows in the counts. Examples of such values are a term of
    360 months that nearly all loans have, and a year that is the same for all loans.
    """
    if not len(numbers):
        return numbers
    quantiles = np.quantile(numbers, np.arange(bins + 1) / bins)
    alone = quantiles[1:][quantiles[1:] == quantiles[:-1]]
    return np.unique(np.concatenate([quantiles[1:-1], alone, np.nextafter(alone, np.inf)]))


def present_numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Return the values of a column that are not null, as float64."""
    return as_floats(values.drop_null())


def sample_rows(table: pa.Table, rows: int, seed: int) -> bytes:
    """Draw at most `rows` random rows of the table and return them in Parquet format.

    The rows keep their order. The same seed draws the same rows.
    """
    if table.num_rows > rows:
        chosen = np.random.default_rng(seed).choice(table.num_rows, rows, replace=False)
        table = table.take(pa.array(np.sort(chosen)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def predictions_of_other_policy(run: Mapping[str, Any], model: Mapping[str, Any]) -> set[str]:
    """Return the names of the predictions that must not be compared with a model's baseline.

    The decision policy may have changed between the training and the scoring run. Changed
    exclusions send other applicants to the model, so that no prediction is comparable. Changed
    thresholds give the same applicants other decisions and reasons, so that only `decision` and
    `reason_1` are not comparable. If the policy of the training or of the scoring run was not
    recorded, the function assumes that nothing has changed.

    A model that was trained before reasons were Shapley values has other first reasons, so that
    `reason_1` is not comparable with its baseline.

    Args:
        run: row of the scoring run, with its `policy`.
        model: row of the model, with the policy in its `training_data`.
    """
    now, then = run["policy"], model["training_data"].get("policy")
    others = set() if model["training_data"].get("reasons") == METHOD else {"reason_1"}
    if now is None or then is None:
        return others
    if now["exclusions"] != then["exclusions"]:
        return set(PREDICTIONS)
    return {"decision", "reason_1"} if now["decision"] != then["decision"] else others


def read_baseline_sample(content: bytes) -> pa.Table:
    """Return the table stored in a Parquet file that `sample_rows` made."""
    return pq.read_table(io.BytesIO(content))
