"""Run the benchmarks, each in an empty database."""

from collections.abc import Callable, Sequence
from pathlib import Path

from loan_scoring import contract as contracts
from loan_scoring.lab.bench.calls import bench_calls
from loan_scoring.lab.bench.harness import DATABASE
from loan_scoring.lab.bench.ingest import bench_ingest
from loan_scoring.lab.bench.known_loans import bench_known_loans
from loan_scoring.lab.bench.loans import BenchLoans, prepare_loans
from loan_scoring.lab.bench.metrics import bench_metrics
from loan_scoring.lab.bench.metrics_stage import bench_metrics_stage
from loan_scoring.lab.bench.mixed import bench_mixed
from loan_scoring.lab.bench.pages import bench_pages
from loan_scoring.lab.bench.result import BenchResult
from loan_scoring.lab.bench.score import bench_score
from loan_scoring.local.throwaway import throwaway_database

Bench = Callable[[BenchLoans, str], BenchResult]
"""A function that runs one benchmark, given the loans and the URL of an empty database."""

BENCHES: dict[str, Bench] = {
    "ingest": bench_ingest,
    "mixed": bench_mixed,
    "known_loans": bench_known_loans,
    "score": bench_score,
    "metrics": bench_metrics,
    "metrics_stage": bench_metrics_stage,
    "calls": bench_calls,
    "pages": bench_pages,
}

ONLY_BY_NAME = {"pages"}
"""Benchmarks that run only if the user names them.

`pages` generates 15 million scores, which takes minutes and 9 GB of disk.
"""


def run_benches(
    portfolio: str, folder: Path, source: str | None = None, stages: Sequence[str] = ()
) -> list[BenchResult]:
    """Run benchmarks on the labelled loans of a portfolio.

    Args:
        portfolio: name of the portfolio.
        folder: folder into which files of loans are written.
        source: file or URL of the labelled loans. If None, `resolve_source` searches for a source.
        stages: names of the benchmarks to run. If empty, all benchmarks except ONLY_BY_NAME run.

    Raises:
        SourceError: the source cannot be read.
        DatabaseError: the embedded Postgres does not start, or another benchmark is running.
    """
    loans = prepare_loans(contracts.load(portfolio), folder, source)
    results = []
    for stage in stages or [name for name in BENCHES if name not in ONLY_BY_NAME]:
        with throwaway_database(DATABASE) as url:
            results.append(BENCHES[stage](loans, url))
    return results
