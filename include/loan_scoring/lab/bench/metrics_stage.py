"""Benchmark the whole stage `metrics`, from scores in Postgres to figures in Postgres."""

import csv
from itertools import islice
from pathlib import Path

from loan_scoring import database
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.bench.harness import highest_peak, run_in_process, truncate_tables
from loan_scoring.lab.bench.loans import BenchLoans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, Measurement, median_seconds
from loan_scoring.lab.bench.score import replace_batch, train_bench_pair
from loan_scoring.scoring.batch import score_batch

REPETITIONS = 3
MILLION = 1_000_000
"""Number of loans of the large batch, if TIMES times the loans are as many."""

MOST_CPU_SECONDS = 12.6
"""A third of the CPU time that version 0.1.0 needed for a million loans with outcomes (37.7 s)."""
MOST_MIB = 700
"""Maximum peak memory of the large batch, in MiB."""

OUTCOMES = """
INSERT INTO outcomes (loan_id, is_default, drop_id, revision)
SELECT s.loan_id, hashint8(row_number() OVER (ORDER BY s.loan_id)) / 4294967296.0 + 0.5
                  < s.default_probability, file.drop_id, file.revision
FROM scores AS s, (SELECT drop_id, revision FROM outcome_drops LIMIT 1) AS file
WHERE s.default_probability IS NOT NULL
"""
"""Gives each scored loan an outcome, drawn with the probability that the model predicted."""


def bench_metrics_stage(loans: BenchLoans, url: str) -> BenchResult:
    """Measure the stage on a batch without outcomes and on a batch whose outcomes are all known.

    Each repetition runs in a process of its own and includes imports and the preparation of the
    baseline. CPU time is that of this process, without Postgres's.
    """
    figures: list[Measurement] = []
    cpu, peaks = {}, {}
    with open_session(loans.contract.portfolio, url) as session:
        train_bench_pair(session, loans)
        large = loans.file.with_name("loans_large.csv")
        sizes = {loans.file: loans.rows, large: write_first_rows(loans.tenfold, large, MILLION)}
        for file, rows in sizes.items():
            prepare_batch(session, file)
            for is_mature in (False, True):
                if is_mature:
                    draw_outcomes(session)
                runs = [
                    run_in_process(
                        "stage_process",
                        ["metrics", session.contract.portfolio, session.contract.replay.start],
                        url,
                        loans.source,
                    )
                    for _ in range(REPETITIONS)
                ]
                name = f"{rows:,} loans, {'with' if is_mature else 'without'} outcomes"
                figures += [
                    median_seconds(name, [each["seconds"] for each in runs]),
                    median_seconds("  CPU", [each["cpu_seconds"] for each in runs]),
                    highest_peak("  peak memory", runs),
                ]
                cpu[file, is_mature], peaks[file, is_mature] = (each.value for each in figures[-2:])
    ratios = [
        LimitedRatio("CPU of the large batch", cpu[large, True], MOST_CPU_SECONDS, unit="s"),
        LimitedRatio("peak of the large batch", peaks[large, True], MOST_MIB, unit="MiB"),
    ]
    return BenchResult("metrics_stage", loans.source, loans.rows, figures, ratios)


def write_first_rows(source: Path, path: Path, rows: int) -> int:
    """Write the header and the first rows of a CSV file to `path`. Return the number of rows."""
    with source.open(newline="") as read, path.open("w", newline="") as written:
        lines = csv.reader(read)
        writer = csv.writer(written)
        writer.writerow(next(lines))
        count = 0
        for count, line in enumerate(islice(lines, rows), 1):  # noqa: B007 - read after the loop
            writer.writerow(line)
    return count


def prepare_batch(session: Session, file: Path) -> None:
    """Make a file the only batch, score it, and remove all outcomes and earlier scores."""
    replace_batch(session, file)
    truncate_tables(session, "scoring_runs, mini_batches, scores, outcomes")
    score_batch(session, session.contract.replay.start)
    analyze(session)


def draw_outcomes(session: Session) -> None:
    """Give each scored loan an outcome, drawn with the probability that the model predicted."""
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute(OUTCOMES)
    analyze(session)


def analyze(session: Session) -> None:
    """Update the planner's statistics, as Postgres does by itself within a minute."""
    with database.transaction(session.connection), session.connection.cursor() as cursor:
        cursor.execute("ANALYZE")
