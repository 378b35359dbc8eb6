"""How fast a batch is held against its baseline, beside Evidently's DataDriftPreset."""

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
from loan_scoring.lab.calibrate.pool import IS_DEFAULT, read_labelled_loans
from loan_scoring.models.baseline import fit_baseline, read_baseline_sample, sample_rows
from loan_scoring.monitoring.drift.compare import BaselineColumn, compare_column
from loan_scoring.monitoring.drift.joint import JointBaseline

REPETITIONS = 5
BATCH_SHARE = 49_047 / 148_670
"""Of the loans, those of the batch; the others are the baseline, as in DESIGN section 8."""
NIGHT = 5_000

log = logging.getLogger(__name__)


def bench_metrics(loans: BenchLoans, url: str) -> BenchResult:  # noqa: ARG001 - nothing of it is in Postgres
    """Measure every test of one column and the joint ones, on frames that are in memory.

    What is frozen of a baseline is made once a training; sorting its sample and fitting its plane
    is done once a process, and is counted on top in the ratios, as if each batch had its own.
    Evidently compares the same columns, all but the key and what never varies, in a process of
    its own, imported and warm, and is given pandas frames. The two take turns on nothing: each
    way is measured by itself, one thread.
    """
    contract = loans.contract
    _, table = read_labelled_loans(contract, str(loans.file), 0)
    names = [
        name
        for name in table.column_names
        if name not in (KEY, IS_DEFAULT) and len(table.column(name).unique()) > 1
    ]
    known, batch = _cut(table.select(names), contract.training.seed)
    policy, seed = contract.monitoring, contract.training.seed
    frozen = fit_baseline(contract, known)
    sample = read_baseline_sample(sample_rows(known, policy.sample_rows, seed))
    night = batch.slice(0, NIGHT)

    def columns() -> dict[str, BaselineColumn]:
        return {name: BaselineColumn.fit(frozen[name], sample.column(name)) for name in names}

    def single(fitted: dict[str, BaselineColumn], of: pa.Table) -> None:
        for name, column in fitted.items():
            compare_column(name, policy, column, of.column(name))

    def together() -> JointBaseline | None:
        return JointBaseline.fit(policy, frozen, sample, seed)

    fitted, joint = columns(), together()
    with threadpool_limits(limits=1):
        steps: dict[str, list[float]] = {
            "sorted": _timed(columns),
            "single": _timed(lambda: single(fitted, batch)),
            "night": _timed(lambda: single(fitted, night)),
        }
        if joint is not None:
            steps["plane"] = _timed(together)
            steps["joint"] = _timed(lambda: joint.compare(policy, batch))
            steps["joint_night"] = _timed(lambda: joint.compare(policy, night))
    theirs = _evidently(known, batch)
    told = f"{batch.num_rows:,} loans, {len(names)} columns"
    figures = [
        median_seconds(
            "baseline, sorted once", steps["sorted"], f"{known.num_rows:,} loans, a process"
        ),
        median_seconds("tests of one column", steps["single"], told),
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
    if theirs:
        figures.append(
            median_seconds("Evidently, DataDriftPreset", theirs, "the same frames in pandas")
        )
        slow = statistics.median(theirs)
        ratios = [
            LimitedRatio("Evidently / tests of one column", slow / alone, 20, is_at_most=False)
        ]
        if joint is not None:
            both = alone + sum(statistics.median(steps[name]) for name in ("plane", "joint"))
            ratios.append(LimitedRatio("Evidently / all tests", slow / both, 10, is_at_most=False))
    else:
        log.warning("Evidently is not measured: its environment cannot be made here")
    return BenchResult("metrics", loans.source, loans.rows, figures, ratios)


def _cut(table: pa.Table, seed: int) -> tuple[pa.Table, pa.Table]:
    """Return baseline and batch, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    cut = round(table.num_rows * BATCH_SHARE)
    batch, known = (table.take(pa.array(np.sort(part))) for part in np.split(order, [cut]))
    return known.combine_chunks(), batch.combine_chunks()


def _timed(work: Callable[[], Any]) -> list[float]:
    measured = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        work()
        measured.append(time.perf_counter() - started)
    return measured


def _evidently(known: pa.Table, batch: pa.Table) -> list[float]:
    """Return the seconds of Evidently's repetitions, none where it is not to be had."""
    python = peers_python()
    if python is None:
        return []
    with tempfile.TemporaryDirectory(prefix="loan-scoring-bench-") as name:
        folder = Path(name)
        manifest: dict[str, Any] = {**column_kinds(known), "repetitions": REPETITIONS}
        for side, table in (("baseline", known), ("batch", batch)):
            manifest[side] = str(folder / f"{side}.parquet")
            pq.write_table(table, manifest[side])
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return [float(each["seconds"]) for each in run_peers(python, "time", folder)]
