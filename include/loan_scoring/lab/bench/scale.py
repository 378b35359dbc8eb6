"""Fill a database with millions of applications, and measure stages, tables and queries on it."""

import logging
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from loan_scoring import database, settings
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session, open_session
from loan_scoring.lab.bench.harness import DATABASE, delete_batches, run_in_process
from loan_scoring.lab.bench.loans import BenchLoans, prepare_loans
from loan_scoring.lab.bench.score import train_bench_pair
from loan_scoring.local.throwaway import throwaway_database

log = logging.getLogger(__name__)

STAGES = ("ingest", "score", "metrics")
PART_ROWS = 500_000
"""Rows that are drawn at once."""
QUERY = re.compile(r"((?:^[^\n]+\n)+)\n```sql\n(.*?)```", re.MULTILINE | re.DOTALL)
"""A paragraph of docs/queries.md that begins with a question, and the statement that answers it."""

SIZES = """
SELECT coalesce(parent.relname, c.relname) AS name,
       sum(pg_total_relation_size(c.oid))::bigint AS bytes
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace = current_schema()::regnamespace
GROUP BY 1 HAVING sum(pg_total_relation_size(c.oid)) >= 1048576 ORDER BY 2 DESC
"""
"""The tables of at least 1 MiB with their indexes; the partitions of a table count together."""


@dataclass(frozen=True)
class AskedQuery:
    """A query of docs/queries.md: the question, how long the answer took, and the plan's nodes."""

    question: str
    seconds: float
    plan: str


@dataclass(frozen=True)
class ScaleFigures:
    """What a filled database cost: each stage of each night, the tables, and the queries.

    `stages` has for each stage one row a night: `seconds`, `cpu_seconds`, `peak_memory_bytes`.
    `tables` has bytes by name, without the history.
    """

    source: str
    nights: int
    per_night: int
    history: int
    stages: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    queries: list[AskedQuery] = field(default_factory=list)
    labelled: int = 0
    """Labelled loans of the training that is measured after the nights."""
    training: dict[str, dict[str, float]] = field(default_factory=dict)
    """Cost of `ingest` and `train` of those loans, as in `stages`. Empty if there are none."""

    @property
    def applications(self) -> int:
        """The number of applications of all nights."""
        return self.nights * self.per_night

    def median(self, stage: str, name: str) -> float:
        """Return the median over nights of a figure of a stage."""
        return statistics.median(each[name] for each in self.stages[stage])


def measure_scale(
    portfolio: str,
    folder: Path,
    nights: int,
    per_night: int,
    source: str | None = None,
    labelled: int = 0,
) -> ScaleFigures:
    """Ingest, score and compare nights of drawn loans in a database of their own, and ask it.

    The loans of a night are drawn with replacement from the labelled loans of the source, under new
    keys. Each stage of each night runs in a process of its own, as by the command line.

    Args:
        portfolio: name of the portfolio.
        folder: folder for the files of a night. Each is deleted after its night.
        nights: number of nights.
        per_night: applications of each night.
        source: file or URL of the labelled loans. If None, `resolve_source` searches for a source.
        labelled: loans to draw, with their outcomes, for a training after the nights, which the
            contract's `training.max_loans` bounds. 0 for no training.
    """
    from loan_scoring import contract as contracts

    loans = prepare_loans(contracts.load(portfolio), folder, source)
    loans.tenfold.unlink()
    stages: dict[str, list[dict[str, float]]] = {each: [] for each in STAGES}
    found = ScaleFigures(loans.source, nights, per_night, loans.rows, stages, labelled=labelled)
    with throwaway_database(DATABASE) as url:
        with open_session(portfolio, url) as session:
            train_bench_pair(session, loans)
            before = _sizes(session)
        for batch_id, file in _nights(loans, folder, nights, per_night):
            for stage in STAGES:
                cost = run_in_process(
                    "stage_process", [stage, portfolio, batch_id, str(file)], url, loans.source
                )
                found.stages[stage].append(cost)
            file.unlink()
            seconds = {stage: f"{found.stages[stage][-1]['seconds']:.1f} s" for stage in STAGES}
            log.info("%s: %s", batch_id, ", ".join(map(" ".join, seconds.items())))
        with open_session(portfolio, url) as session:
            _analyze(session)
            after = _sizes(session)
            found.tables.update({name: size - before.get(name, 0) for name, size in after.items()})
            found.queries.extend(_ask(session))
            if labelled:
                delete_batches(session)
        if labelled:
            file = folder / "labelled.csv"
            _write_drawn(loans, _table(loans), file, labelled)
            for stage in ("ingest", "train"):
                arguments = [stage, portfolio, HISTORY, str(file)]
                found.training[stage] = run_in_process(
                    "stage_process", arguments, url, loans.source
                )
                log.info("%s: %s", stage, found.training[stage])
    return found


def _nights(
    loans: BenchLoans, folder: Path, nights: int, per_night: int
) -> Iterator[tuple[str, Path]]:
    """Yield the batch_id and the file of each night, under keys that no other night has."""
    table = _table(loans)
    place = table.column_names.index(loans.contract.target.source)
    table = table.set_column(place, table.column_names[place], pa.array([""] * table.num_rows))
    start = date.fromisoformat(loans.contract.replay.start)
    for night in range(nights):
        batch_id = (start + timedelta(days=night)).isoformat()
        file = folder / f"{batch_id}.csv"
        _write_drawn(loans, table, file, per_night, night)
        yield batch_id, file


def _table(loans: BenchLoans) -> pa.Table:
    columns = [*loans.contract.sources, loans.contract.target.source]
    text = pa.csv.ConvertOptions(
        strings_can_be_null=False, column_types=dict.fromkeys(columns, pa.string())
    )
    return pa.csv.read_csv(loans.file, convert_options=text)


def _write_drawn(loans: BenchLoans, table: pa.Table, file: Path, rows: int, turn: int = 0) -> None:
    """Write rows of a table, drawn with replacement, under keys that no other turn has."""
    key = loans.contract.key.sources[0]
    dice = np.random.default_rng([loans.contract.training.seed, turn])
    first = 1 + max(int(each) for each in table.column(key).to_pylist()) + turn * rows
    options = pa.csv.WriteOptions(quoting_style="needed")
    with pa.csv.CSVWriter(str(file), table.schema, write_options=options) as writer:
        for done in range(0, rows, PART_ROWS):
            part = min(PART_ROWS, rows - done)
            drawn = table.take(pa.array(dice.integers(0, table.num_rows, part)))
            keys = pa.array(range(first + done, first + done + part)).cast(pa.string())
            writer.write(drawn.set_column(table.column_names.index(key), key, keys))


def _analyze(session: Session) -> None:
    """Vacuum and update the planner's statistics, as Postgres does by itself in the hours after."""
    connection = session.connection
    connection.rollback()
    connection.autocommit = True  # because VACUUM refuses to run in a transaction
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    connection.autocommit = False


def _sizes(session: Session) -> dict[str, int]:
    with database.snapshot(session.connection), session.connection.cursor() as cursor:
        cursor.execute(SIZES)
        return dict(cursor.fetchall())


def _ask(session: Session) -> Iterator[AskedQuery]:
    """Yield each query of docs/queries.md with its seconds, the second time that it is asked."""
    page = (settings.home() / "docs" / "queries.md").read_text(encoding="utf-8")
    page = page.replace("PORTFOLIO", session.contract.portfolio)
    for paragraph, statement in QUERY.findall(page):
        with database.snapshot(session.connection), session.connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.fetchall()
            started = time.perf_counter()
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.rstrip().rstrip(';')}")
            (plan,) = cursor.fetchall()[0][0]
        seconds = time.perf_counter() - started
        question = re.split(r"(?<=[?.]) ", " ".join(paragraph.split()))[0]
        yield AskedQuery(question, seconds, ", ".join(_scans(plan["Plan"])))


def _scans(node: dict[str, Any]) -> list[str]:
    """Return the nodes of a plan that read a table, the dearest three, with the rows they read."""

    def walk(each: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield each
        for child in each.get("Plans", []):
            yield from walk(child)

    reads = [each for each in walk(node) if "Relation Name" in each]
    reads.sort(key=lambda each: -each["Actual Total Time"] * each["Actual Loops"])
    return [
        f"{each['Node Type']} {each['Relation Name']} "
        f"({each['Actual Rows'] * each['Actual Loops']:,.0f} rows)"
        for each in reads[:2]
    ]
