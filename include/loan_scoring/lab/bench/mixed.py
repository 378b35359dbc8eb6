"""Benchmark ingestion of a generated file with 40 columns of all types and notations."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from loan_scoring.contract import files
from loan_scoring.lab.bench.harness import run_in_process
from loan_scoring.lab.bench.ingest import raw_copy
from loan_scoring.lab.bench.loans import BenchLoans, write_loans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, median_seconds
from loan_scoring.lab.synthetic import generate_loans

REPETITIONS = 5
ROWS = 100_000
LIMIT = 4
"""Limit on the time of ingestion, as a multiple of raw COPY of the same file."""
MONEY = {"quantiles": [500, 1000, 4000, 9000, 20000, 50000, 90000.5]}
SHARE = {"nulls": 0.05, "quantiles": [0, 1, 3.5, 6, 9, 14, 29.99], "step": 0.01}
KINDS: list[dict[str, Any]] = [
    {"type": "integer", "range": [0, 1000]},
    {"type": "integer", "thousands": ",", "range": [0, 5_000_000]},
    {"type": "number", "margin": SHARE},
    {"type": "number", "decimal": ",", "margin": SHARE},
    {"type": "money", "thousands": ",", "currency": "$", "margin": MONEY},
    {"type": "money", "decimal": ",", "thousands": ".", "margin": MONEY},
    {"type": "percent", "margin": SHARE},
    {"type": "boolean", "is_true": ["Y"], "is_false": ["N"]},
    {"type": "date"},
    {"type": "date", "format": ["%d.%m.%Y", "%Y"]},
    {"type": "date", "format": "%b-%Y"},
    {"type": "category", "levels": ["fixed", "freelance", "none"], "ignore_case": True},
    {"type": "category", "levels": "free"},
]
"""The columns of the file, besides a key, a time and a text. Each kind is there up to three times.

A file of a lender has at most one time of each loan, which differs from loan to loan.
"""
PORTFOLIO = "bench_mixed"


def bench_mixed(loans: BenchLoans, url: str) -> BenchResult:
    """Measure how long a file of 40 columns of all types takes to land and publish.

    The floor is one COPY of the same file, as in the benchmark of ingestion. Postgres cannot read
    most notations, so the floor takes such columns as text.
    """
    folder = loans.file.parent / "mixed"
    folder.mkdir()
    path = folder / f"{PORTFOLIO}.yaml"
    path.write_text(yaml.safe_dump(_contract(), sort_keys=False), encoding="utf-8")
    contract = files.read(path)
    table = generate_loans(contract, ROWS, contract.training.seed)
    # The writer puts an empty text in quotes, which COPY refuses in a numeric column.
    unquoted = [pc.if_else(pc.equal(column, ""), None, column) for column in table.columns]
    table = pa.table(unquoted, names=table.column_names)
    file = folder / "mixed.csv"
    write_loans(table, contract, file)
    mixed = BenchLoans(contract, f"synthetic: {len(contract.columns)} columns", ROWS, file, file)
    floor, ours = [], []
    for _ in range(REPETITIONS):
        floor.append(raw_copy(mixed, url, has_keys=False))
        run = run_in_process(
            "ingest_process",
            [PORTFOLIO, str(file)],
            url,
            mixed.source,
            {"LOAN_SCORING_PORTFOLIOS": str(folder)},
        )
        ours.append(run["seconds"])
    figures = [
        median_seconds("raw COPY", floor, "the floor: no key, no index, no rules"),
        median_seconds("ingest", ours, "land and publish"),
    ]
    copy, ingest = (figure.value for figure in figures)
    ratios = [LimitedRatio("ingest / raw COPY", ingest / copy, LIMIT)]
    return BenchResult("mixed", mixed.source, ROWS, figures, ratios)


def _contract() -> dict[str, Any]:
    columns: list[dict[str, Any]] = [
        {"type": "integer", "name": "loan_id"}, {"type": "datetime"}, {"type": "text"}
    ]  # fmt: skip
    columns += [KINDS[place % len(KINDS)] for place in range(40 - len(columns))]
    return {
        "portfolio": PORTFOLIO,
        "title": "Mixed columns",
        "owner": "bench",
        "target": {"source": "status", "positive": ["bad"], "negative": ["paid"]},
        "columns": [
            {"source": f"c{place}", "name": f"c{place}", "label": f"c{place}",
             "known": "application", "max_null_share": 1} | each
            for place, each in enumerate(columns)
        ],
        "decision": {"approve_below": 0.1, "decline_from": 0.3},
        "schedules": {"timezone": "Europe/Berlin"},
    }  # fmt: skip
