"""Benchmark ingestion, from a file to a published batch, against COPY and pandas to_sql."""

import time
from pathlib import Path

import pandas as pd
import psycopg2
from psycopg2 import sql
from sqlalchemy import create_engine

from loan_scoring.database.types import POSTGRES_TYPES
from loan_scoring.errors import SourceError
from loan_scoring.lab.bench.harness import NAIVE_ROWS, highest_peak, run_in_process
from loan_scoring.lab.bench.loans import TIMES, BenchLoans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, median_seconds

REPETITIONS = 5


def bench_ingest(loans: BenchLoans, url: str) -> BenchResult:
    """Measure how long it takes to land, check and publish the whole file as the batch of a night.

    All measured implementations read one uncompressed CSV file. The floor is the least possible
    work: one COPY of the file and a commit. The table has the contract's types, but no key, no
    index and no rules. Each ingestion runs in a new process, because the peak memory of a process
    includes everything that the process did before.
    """
    floor, keyed, ours, naive, tenfold = [], [], [], [], []
    for repetition in range(REPETITIONS):
        floor.append(raw_copy(loans, url, has_keys=False))
        ours.append(_ingest(loans, loans.file, url))
        keyed.append(raw_copy(loans, url, has_keys=True))
        if repetition % 2 == 0:
            naive.append(_to_sql(loans, url))
        if repetition == REPETITIONS // 2:
            tenfold.append(_ingest(loans, loans.tenfold, url))
    figures = [
        median_seconds("raw COPY", floor, "the floor: no key, no index, no rules"),
        median_seconds("raw COPY, with the table's indexes", keyed, "for comparison"),
        median_seconds("ingest", [run["seconds"] for run in ours], "land and publish"),
        median_seconds(
            "Great Expectations", [run["judge_seconds"] for run in ours], "the check between"
        ),
        median_seconds(
            "read_csv + to_sql",
            naive,
            "" if loans.rows <= NAIVE_ROWS else f"scaled from {NAIVE_ROWS:,} rows",
        ),
        median_seconds(f"ingest, {TIMES} times the rows", [run["seconds"] for run in tenfold]),
        highest_peak("peak memory", ours),
        highest_peak(f"peak memory, {TIMES} times the rows", tenfold),
    ]
    copy, _, ingest, check, to_sql, longer, low, high = (figure.value for figure in figures)
    ratios = [
        LimitedRatio("ingest / raw COPY", ingest / copy, 3),
        LimitedRatio("Great Expectations", check, 0.4, unit="s"),
        LimitedRatio("to_sql / ingest", to_sql / ingest, 15, is_at_most=False),
        LimitedRatio(f"time at {TIMES} times the rows", longer / ingest, 11),
        LimitedRatio(f"memory at {TIMES} times the rows", high / low, 1.2),
    ]
    return BenchResult("ingest", loans.source, loans.rows, figures, ratios)


def raw_copy(loans: BenchLoans, url: str, *, has_keys: bool) -> float:
    """Return how many seconds one COPY of the file into an empty table takes.

    A column with null tokens or a notation of its own has type text, because COPY into a numeric
    column fails at a token such as NA.
    """
    contract = loans.contract
    types = {
        name: "text" if c.null_tokens or c.has_notation or c.format else POSTGRES_TYPES[c.type]
        for c in contract.columns
        for name in c.sources
    }
    types[contract.target.source] = "text"
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in types.items()
    )
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor, loans.file.open("rb") as file:
            cursor.execute("DROP TABLE IF EXISTS floor")
            cursor.execute(sql.SQL("CREATE TABLE floor ({})").format(columns))
            if has_keys:
                key = sql.Identifier(contract.key.sources[0])
                cursor.execute(sql.SQL("ALTER TABLE floor ADD PRIMARY KEY ({})").format(key))
                cursor.execute(sql.SQL("CREATE INDEX ON floor ({})").format(key))
            connection.commit()
            started = time.perf_counter()
            cursor.copy_expert("COPY floor FROM STDIN (FORMAT csv, HEADER)", file, 1 << 16)
            connection.commit()
            return time.perf_counter() - started
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise SourceError(
            f"{loans.source}: raw COPY refuses it ({reason}); give a file without faults"
        ) from error
    finally:
        connection.close()


def _to_sql(loans: BenchLoans, url: str) -> float:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    try:
        started = time.perf_counter()
        frame = pd.read_csv(loans.file, nrows=NAIVE_ROWS)
        frame.to_sql("naive", engine, if_exists="replace", index=False)
        return (time.perf_counter() - started) * loans.rows / len(frame)
    finally:
        engine.dispose()


def _ingest(loans: BenchLoans, file: Path, url: str) -> dict[str, float]:
    """Ingest a file in a new process. Return the times and the peak memory of that process."""
    return run_in_process(
        "ingest_process", [loans.contract.portfolio, str(file)], url, loans.source
    )
