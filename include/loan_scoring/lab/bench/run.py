"""Measure stages against their floor and against the naive way, and say which limits are met."""

from collections.abc import Callable, Sequence
from pathlib import Path

from loan_scoring import contract as contracts
from loan_scoring.lab.bench.comparing import bench_metrics
from loan_scoring.lab.bench.ingesting import bench_ingest
from loan_scoring.lab.bench.loans import BenchLoans, prepare_loans
from loan_scoring.lab.bench.measuring import DATABASE
from loan_scoring.lab.bench.paging import bench_pages
from loan_scoring.lab.bench.result import BenchResult
from loan_scoring.lab.bench.scoring_batch import bench_score
from loan_scoring.local.throwaway import throwaway_database

Bench = Callable[[BenchLoans, str], BenchResult]
"""Measures one stage on loans, in the empty database of a URL."""

BENCHES: dict[str, Bench] = {
    "ingest": bench_ingest,
    "score": bench_score,
    "metrics": bench_metrics,
    "pages": bench_pages,
}

ASKED_FOR = {"pages"}
"""Benches that run where they are named alone: 15 million scores take minutes and 9 GB of disk."""


def run_benches(
    portfolio: str, folder: Path, source: str | None = None, stages: Sequence[str] = ()
) -> list[BenchResult]:
    """Run benches on the labelled loans of a portfolio; all but ASKED_FOR where `stages` is empty.

    Files are made in `folder`.

    Raises:
        SourceError: the source cannot be read.
        DatabaseError: the embedded Postgres does not start, or another bench is running.
    """
    loans = prepare_loans(contracts.load(portfolio), folder, source)
    results = []
    for stage in stages or [name for name in BENCHES if name not in ASKED_FOR]:
        with throwaway_database(DATABASE) as url:
            results.append(BENCHES[stage](loans, url))
    return results
