"""Benchmark ingestion while millions of loans are known already, with random keys."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import yaml

from loan_scoring import settings
from loan_scoring.contract import KEY, Contract
from loan_scoring.lab.bench.harness import run_in_process
from loan_scoring.lab.bench.loans import BenchLoans
from loan_scoring.lab.bench.result import BenchResult, LimitedRatio, Measurement, median_seconds

REPETITIONS = 3
KNOWN_LOANS = 5_000_000
"""Loans that other batches have when the night lands."""
LIMIT = 1.5
"""Limit on the time with KNOWN_LOANS known loans, as a multiple of the time with none."""
KEYS = {"integer": "random 64-bit numbers", "uuid": "UUIDs"}
"""Types of key that are measured. Random keys are the worst case of an index."""


def bench_known_loans(loans: BenchLoans, url: str) -> BenchResult:
    """Measure how long a night's file takes to land and publish, without and with known loans.

    The check between landing and publishing is left out, because it does not depend on them.
    """
    figures: list[Measurement] = []
    ratios: list[LimitedRatio] = []
    folder = loans.file.parent / "known"
    folder.mkdir()
    for kind, keys in KEYS.items():
        portfolio = f"bench_{kind}"
        _write_contract(loans.contract, kind, folder / f"{portfolio}.yaml")
        file = folder / f"{portfolio}.csv"
        _write_with_keys(loans, kind, file)
        seconds: dict[int, list[float]] = {0: [], KNOWN_LOANS: []}
        for known in [*seconds] * REPETITIONS:
            run = run_in_process(
                "ingest_process",
                [portfolio, str(file), str(known)],
                url,
                loans.source,
                {"LOAN_SCORING_PORTFOLIOS": str(folder)},
            )
            seconds[known].append(run["seconds"])
        alone = median_seconds(f"{kind} key, no known loan", seconds[0], keys)
        among = median_seconds(
            f"{kind} key, {KNOWN_LOANS:,} known loans", seconds[KNOWN_LOANS], keys
        )
        figures += [alone, among]
        ratios.append(LimitedRatio(f"{kind} key: known / none", among.value / alone.value, LIMIT))
    return BenchResult("known_loans", loans.source, loans.rows, figures, ratios)


def _write_contract(contract: Contract, key_type: str, path: Path) -> None:
    """Write a copy of the contract whose key has another type and no range."""
    shipped = settings.portfolios_dir() / f"{contract.portfolio}.yaml"
    raw: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    raw["portfolio"] = path.stem
    key = next(column for column in raw["columns"] if column["name"] == KEY)
    key["type"] = key_type
    for field in ("range", "margin"):
        key.pop(field, None)
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def _write_with_keys(loans: BenchLoans, kind: str, path: Path) -> None:
    """Write the loans into a CSV file, with keys drawn at random."""
    table = pa.csv.read_csv(
        loans.file, convert_options=pa.csv.ConvertOptions(strings_can_be_null=False)
    )
    rng = np.random.default_rng(loans.contract.training.seed)
    if kind == "integer":
        keys = pa.array(rng.integers(1, 2**63 - 1, table.num_rows))
    else:
        keys = pa.array([str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(table.num_rows)])
    source = loans.contract.key.sources[0]
    pa.csv.write_csv(
        table.set_column(table.column_names.index(source), source, keys),
        path,
        pa.csv.WriteOptions(quoting_style="needed"),
    )
