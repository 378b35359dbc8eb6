"""Benchmark the drift tests of stage `metrics` against Evidently."""

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from loan_scoring.contract import KEY
from loan_scoring.lab.bench.loans import BenchLoans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, median_seconds
from loan_scoring.lab.calibrate.peers import column_kinds, peers_python, run_peers
from loan_scoring.lab.calibrate.pool import read_labelled_loans
from loan_scoring.models.baseline import fit_baseline, read_baseline_sample, sample_rows
from loan_scoring.monitoring.drift.compare import BaselineColumn, compare_column
from loan_scoring.monitoring.drift.joint import JointBaseline

REPETITIONS = 5
BATCH_SHARE = 49_047 / 148_670
"""Share of the loans that form the batch. The other loans form the baseline."""
NIGHT = 5_000

log = logging.getLogger(__name__)


def bench_metrics(loans: BenchLoans, url: str) -> BenchResult:  # noqa: ARG001 - needs no Postgres
    """Measure the single-column tests and the joint tests on tables in memory.

    In production, a process sorts the baseline's sample and fits the joint baseline only once for
    all batches. The ratios nevertheless count all of this preparation in the time of one batch.

    Both our tests and Evidently's DataDriftPreset compare all columns except the key, the outcome
    and constant columns. Evidently runs in a process of its own, on pandas frames. The import of
    Evidently and a warm-up are not counted. Our tests use one thread. Evidently starts only after
    they have ended.
    """
    contract = loans.contract
    table = read_labelled_loans(contract, str(loans.file), 0).typed
    names = [
        name for name in table.column_names if name != KEY and len(table.column(name).unique()) > 1
    ]
    baseline, batch = _split(table.select(names), contract.training.seed)
    policy, seed = contract.monitoring, contract.training.seed
    frozen = fit_baseline(contract, baseline)
    sample = read_baseline_sample(sample_rows(baseline, policy.sample_rows, seed))
    night = batch.slice(0, NIGHT)

    def fit_columns() -> dict[str, BaselineColumn]:
        return {name: BaselineColumn.fit(frozen[name], sample.column(name)) for name in names}

    def compare_columns(table: pa.Table) -> None:
        for name, column in fitted.items():
            compare_column(name, policy, column, table.column(name))

    def fit_joint() -> JointBaseline | None:
        return JointBaseline.fit(policy, frozen, sample, seed)

    fitted, joint = fit_columns(), fit_joint()
    with threadpool_limits(limits=1):
        steps: dict[str, list[float]] = {
            "sorted": _timed(fit_columns),
            "single": _timed(lambda: compare_columns(batch)),
            "night": _timed(lambda: compare_columns(night)),
        }
        if joint is not None:
            steps["plane"] = _timed(fit_joint)
            steps["joint"] = _timed(lambda: joint.compare(policy, batch))
            steps["joint_night"] = _timed(lambda: joint.compare(policy, night))
    evidently = _evidently(baseline, batch)
    size = f"{batch.num_rows:,} loans, {len(names)} columns"
    figures = [
        median_seconds(
            "baseline, sorted once", steps["sorted"], f"{baseline.num_rows:,} loans, a process"
        ),
        median_seconds("tests of one column", steps["single"], size),
        median_seconds(f"  of {night.num_rows:,} loans", steps["night"]),
    ]
    alone = statistics.median(steps["sorted"]) + statistics.median(steps["single"])
    if joint is not None:
        figures += [
            median_seconds("baseline, joint tests", steps["plane"], "a process"),
            median_seconds("joint tests", steps["joint"], "domain classifier and reconstruction"),
            median_seconds(f"  of {night.num_rows:,} loans", steps["joint_night"]),
        ]
    ratios = []
    if evidently:
        figures.append(
            median_seconds("Evidently, DataDriftPreset", evidently, "the same frames in pandas")
        )
        slow = statistics.median(evidently)
        ratios = [
            LimitedRatio("Evidently / tests of one column", slow / alone, 20, is_at_most=False)
        ]
        if joint is not None:
            both = alone + sum(statistics.median(steps[name]) for name in ("plane", "joint"))
            ratios.append(LimitedRatio("Evidently / all tests", slow / both, 10, is_at_most=False))
    else:
        log.warning("Evidently is not measured: its environment cannot be set up here")
    return BenchResult("metrics", loans.source, loans.rows, figures, ratios)


def _split(table: pa.Table, seed: int) -> tuple[pa.Table, pa.Table]:
    """Split the loans at random. Return the baseline and the batch, in this order."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    cut = round(table.num_rows * BATCH_SHARE)
    batch, baseline = (table.take(pa.array(np.sort(part))) for part in np.split(order, [cut]))
    return baseline.combine_chunks(), batch.combine_chunks()


def _timed(work: Callable[[], Any]) -> list[float]:
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def _evidently(baseline: pa.Table, batch: pa.Table) -> list[float]:
    """Return the seconds that each repetition of Evidently takes.

    Return an empty list if the environment of Evidently cannot be set up.
    """
    python = peers_python()
    if python is None:
        return []
    with tempfile.TemporaryDirectory(prefix="loan-scoring-bench-") as name:
        folder = Path(name)
        manifest: dict[str, Any] = {**column_kinds(baseline), "repetitions": REPETITIONS}
        for side, table in (("baseline", baseline), ("batch", batch)):
            manifest[side] = str(folder / f"{side}.parquet")
            pq.write_table(table, manifest[side])
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return [float(each["seconds"]) for each in run_peers(python, "time", folder)]
