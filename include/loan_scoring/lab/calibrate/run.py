"""Measure the false alarms and the power of the drift decision on a portfolio's loans."""

import logging
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from loan_scoring import __version__
from loan_scoring import contract as contracts
from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.lab.calibrate.peers import Counts, count_peer_alerts
from loan_scoring.lab.calibrate.pool import GENERATED_ROWS, build_pool
from loan_scoring.lab.calibrate.rounds import RoundResult, run_round
from loan_scoring.lab.calibrate.shifts import correlated_pairs
from loan_scoring.lab.progress import track_items
from loan_scoring.models.baseline import PREDICTIONS

log = logging.getLogger(__name__)

SIZES = (500, 2_000, 5_000, 20_000)
POWER_SIZE = 5_000
MIN_BASELINE = 1_000
"""Minimum number of loans that must remain as baseline after the batches of a round are drawn."""


@dataclass(frozen=True)
class CalibrationPlan:
    """Settings of a calibration: the numbers of rounds, and the batch sizes.

    All `rounds` measure false alarms. The first `power_rounds` rounds also apply shifts. The peers
    compare the batches of the first `peer_rounds` rounds.
    """

    rounds: int = 500
    power_rounds: int = 200
    peer_rounds: int = 15
    sizes: tuple[int, ...] = SIZES
    power_size: int = POWER_SIZE
    jobs: int = 0
    """Number of processes that run rounds. 0 means one process per core."""
    generated_rows: int = GENERATED_ROWS
    is_swapped: bool = False
    """If True, fit the model on two thirds of the loans and draw batches from the other third."""


@dataclass(frozen=True)
class CalibrationResult:
    """The results of all rounds of a calibration, with the loans, plan, machine and versions."""

    portfolio: str
    source: str
    plan: CalibrationPlan
    seed: int
    rounds: list[RoundResult]
    peers: Counts
    pool_rows: int
    model_rows: int
    compared_columns: int
    pairs: list[tuple[str, str, float]]
    """The three most strongly correlated pairs of numeric columns, with the rank correlations."""
    machine: str
    versions: dict[str, str]
    at: datetime
    minutes: float


def calibrate_drift_decision(
    portfolio: str, plan: CalibrationPlan, source: str | None = None
) -> CalibrationResult:
    """Measure the false alarms and the power of a portfolio's drift decision on labelled loans.

    The measurement calls the functions of stage `metrics` directly, without Airflow and Postgres.

    Raises:
        SourceError: the source cannot be read, or has too few loans for the batch sizes.
    """
    started = time.monotonic()
    contract = contracts.load(portfolio)
    pool = build_pool(contract, source, plan.generated_rows, is_swapped=plan.is_swapped)
    least = sum(plan.sizes) + MIN_BASELINE
    if pool.table.num_rows < least:
        raise SourceError(
            f"{pool.source}: has {pool.table.num_rows:,} loans beside those of the model; "
            f"batches of {', '.join(map(str, plan.sizes))} need {least:,}"
        )
    seed = contract.training.seed
    log.info("%s: drawing batches from %s loans", pool.source, f"{pool.table.num_rows:,}")
    with tempfile.TemporaryDirectory(prefix="loan-scoring-calibrate-") as folder:
        found = list(_rounds(contract, pool.table, plan, Path(folder)))
        seeds = [(seed, number) for number in range(plan.peer_rounds)]
        counts, known = count_peer_alerts(
            contract, pool.table, plan.sizes, plan.power_size, seeds, Path(folder)
        )
    numbers = [c.name for c in contract.monitored if c.is_numeric]
    varying = [name for name in numbers if len(pool.table.column(name).unique()) > 1]
    return CalibrationResult(
        portfolio,
        pool.source,
        plan,
        seed,
        found,
        counts,
        pool.table.num_rows,
        pool.model_rows,
        len(contract.monitored) + len(PREDICTIONS),
        correlated_pairs(pool.table, varying)[:3],
        describe_machine(),
        {"loan-scoring": __version__, "Python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "scipy", "pyarrow", "xgboost-cpu")}
        | {f"{name} (peers)": number for name, number in known.items()},
        datetime.now(UTC),
        (time.monotonic() - started) / 60,
    )


def describe_machine() -> str:
    """Return one line of text with this machine's processor, cores and load average."""
    info = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (info.read_text().splitlines() if info.is_file() else [])
        if line.startswith("model name")
    ]
    name = names[0] if names else platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    return f"{name}, {os.cpu_count()} cores, load average {load:.1f} at the end"


def _rounds(
    contract: Contract, pool: pa.Table, plan: CalibrationPlan, folder: Path
) -> Iterator[RoundResult]:
    """Run the rounds in one or more processes. Yield the results in order of the round number."""
    jobs = min(plan.jobs or os.cpu_count() or 1, plan.rounds)
    file = folder / "pool.parquet"
    pq.write_table(pool, file)
    tasks = [
        (plan.sizes, plan.power_size if number < plan.power_rounds else None, number)
        for number in range(plan.rounds)
    ]
    if jobs == 1:
        _open(contract, file)
        yield from track_items(map(_run, tasks), plan.rounds, "round", log, 50)
        return
    # Spawn the processes. A forked process would copy locks that threads of loaded libraries hold,
    # and could then wait forever, because these threads do not exist in the forked process.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, _open, (contract, file)) as executor:
        results = executor.map(_run, tasks, chunksize=1)
        yield from track_items(results, plan.rounds, "round", log, 50)


_OPENED: list[tuple[Contract, pa.Table]] = []
"""The contract and the pool of loans for all rounds in this process, set by `_open`."""


def _open(contract: Contract, file: Path) -> None:
    _OPENED[:] = [(contract, pq.read_table(file))]


def _run(task: tuple[Sequence[int], int | None, int]) -> RoundResult:
    sizes, power_size, number = task
    ((contract, pool),) = _OPENED
    with threadpool_limits(limits=1):
        return run_round(contract, pool, sizes, power_size, (contract.training.seed, number))
