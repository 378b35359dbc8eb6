"""Run the sections of a calibration, and keep the result of each section as JSON beside the page.

A section can be run again alone, and a run that is cut off loses only the section that it was in.
"""

import json
import logging
import multiprocessing
import os
import pickle
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from loan_scoring import __version__
from loan_scoring import contract as contracts
from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.lab.calibrate import lending, nights, peers
from loan_scoring.lab.calibrate.pool import GENERATED_ROWS, LoanPool, build_pool
from loan_scoring.lab.calibrate.rounds import RoundTask, run_round, summarise_rounds
from loan_scoring.lab.progress import track_items

log = logging.getLogger(__name__)

FOLDER = "monitoring-figures"
SIZES = (100, 200, 500, 2_000, 5_000, 20_000)
MIN_BASELINE = 1_000
"""Minimum number of loans that must remain as baseline after the batches of a round are drawn."""
MOST_EXTENSIVE = 20_000
"""Batches of at least this size are shifted in fewer rounds, because they take most of the time."""


@dataclass(frozen=True)
class CalibrationPlan:
    """Settings of a calibration: the numbers of rounds and repetitions, and the batch sizes.

    Section `drift`: `rounds` without drift, of which the first `power_rounds` apply shifts to
    batches of every size, `large_power_rounds` to those of MOST_EXTENSIVE loans, and the first
    `curve_rounds` apply every size of a shift to batches of `power_size` loans. Section `held_out`
    has `held_out_rounds`, of which `held_out_power_rounds` apply shifts.
    """

    rounds: int = 1_000
    power_rounds: int = 200
    large_power_rounds: int = 40
    curve_rounds: int = 40
    held_out_rounds: int = 500
    held_out_power_rounds: int = 60
    repeats: int = 12
    """Repetitions of each scenario of nights."""
    streams: int = 10
    """Streams of nights of each scenario of outcomes."""
    small_streams: int = 60
    """Streams of three years of each scenario of a small portfolio."""
    peer_baselines: int = 5
    """Baselines of each size for the peers, each with 10 batches. 0: no peers."""
    sizes: tuple[int, ...] = SIZES
    power_size: int = 5_000
    held_out_power_sizes: tuple[int, ...] = (500, 5_000)
    night_sizes: tuple[int, ...] = (500, 2_000, 5_000)
    jobs: int = 0
    """Number of processes. 0 means one process per core."""
    generated_rows: int = GENERATED_ROWS

    def quick(self) -> "CalibrationPlan":
        """Return a plan with about a twentieth of the rounds, to try the command."""
        return replace(
            self, rounds=50, power_rounds=4, large_power_rounds=1, curve_rounds=1,
            held_out_rounds=25, held_out_power_rounds=2, repeats=1, streams=1, small_streams=3,
            peer_baselines=0,
        )  # fmt: skip


@dataclass(frozen=True)
class Context:
    """What a section needs: contract, pool, plan, and a function that runs tasks in processes."""

    contract: Contract
    pool: LoanPool
    plan: CalibrationPlan
    folder: Path
    run: Callable[[str, Sequence[Any]], list[Any]]


def run_sections(
    portfolio: str,
    plan: CalibrationPlan,
    names: Sequence[str],
    docs: Path,
    command: str,
    source: str | None = None,
) -> None:
    """Run sections of a calibration, and write the result of each to the folder of the page.

    The measurement calls the functions of the stages directly, without Airflow and Postgres.

    Args:
        portfolio: name of the portfolio.
        plan: numbers of rounds, and batch sizes.
        names: names of SECTIONS to run.
        docs: folder of the page.
        command: the command that was typed, for the page.
        source: file or URL of labelled loans. If None, `resolve_source` searches for a source.

    Raises:
        SourceError: the source cannot be read, or has too few loans for the batch sizes.
    """
    contract = contracts.load(portfolio)
    (docs / FOLDER).mkdir(parents=True, exist_ok=True)
    for is_swapped in (False, True):
        chosen = [name for name in names if (name in SWAPPED) == is_swapped]
        if not chosen:
            continue
        pool = build_pool(contract, source, plan.generated_rows, is_swapped=is_swapped)
        least = sum(plan.sizes) + MIN_BASELINE
        if pool.table.num_rows < least:
            raise SourceError(
                f"{pool.source}: has {pool.table.num_rows:,} loans beside those of the model; "
                f"batches of {', '.join(map(str, plan.sizes))} need {least:,}"
            )
        for name in chosen:
            _run_section(name, contract, pool, plan, docs, command)


def _run_section(
    name: str, contract: Contract, pool: LoanPool, plan: CalibrationPlan, docs: Path, command: str
) -> None:
    started = time.monotonic()
    log.info("%s: section %s on %s loans", pool.source, name, f"{pool.table.num_rows:,}")
    with tempfile.TemporaryDirectory(prefix="loan-scoring-calibrate-") as folder:
        file = Path(folder) / "pool.pickle"
        file.write_bytes(pickle.dumps((contract, pool)))

        def run(function: str, tasks: Sequence[Any]) -> list[Any]:
            return list(_map(function, tasks, plan.jobs, file))

        found = SECTIONS[name](Context(contract, pool, plan, Path(folder), run))
    minutes = (time.monotonic() - started) / 60
    result = {
        "section": name,
        "portfolio": contract.portfolio,
        "source": _public_name(pool.source),
        "command": command,
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "minutes": round(minutes, 1),
        "machine": describe_machine(),
        "seed": contract.training.seed,
        "pool_rows": pool.table.num_rows,
        "model_rows": pool.model_rows,
        "plan": asdict(plan),
        "versions": {"loan-scoring": __version__, "Python": platform.python_version()}
        | {each: version(each) for each in ("numpy", "scipy", "pyarrow", "xgboost-cpu")},
        "found": found,
    }
    (docs / FOLDER / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    log.info("section %s took %.1f minutes", name, minutes)


def _drift(context: Context) -> dict[str, Any]:
    plan = context.plan
    tasks = []
    for number in range(plan.rounds):
        shifted = {
            size: size == plan.power_size and number < plan.curve_rounds
            for size in plan.sizes
            if number < (plan.large_power_rounds if size >= MOST_EXTENSIVE else plan.power_rounds)
        }
        tasks.append(RoundTask(plan.sizes, shifted, (context.contract.training.seed, number)))
    return summarise_rounds(context.contract, context.pool, context.run("round", tasks))


def _held_out(context: Context) -> dict[str, Any]:
    plan, seed = context.plan, context.contract.training.seed
    tasks = [
        RoundTask(
            plan.sizes,
            dict.fromkeys(plan.held_out_power_sizes, False)
            if number < plan.held_out_power_rounds
            else {},
            (seed, number),
        )
        for number in range(plan.held_out_rounds)
    ]
    rounds = summarise_rounds(context.contract, context.pool, context.run("round", tasks))
    return rounds | _lending(context)


def _nights(context: Context) -> dict[str, Any]:
    tasks = nights.night_tasks(context.plan.night_sizes, context.plan.repeats)
    return {"nights": context.run("night", tasks)}


def _lending(context: Context) -> dict[str, Any]:
    plan = context.plan
    tasks = lending.lending_tasks(context.contract, context.pool, plan.streams, plan.small_streams)
    return {"lending": context.run("stream", tasks)}


def _peers(context: Context) -> dict[str, Any]:
    return peers.count_peer_alerts(
        context.contract, context.pool.table, context.plan.peer_baselines, context.folder
    )


SECTIONS: dict[str, Callable[[Context], dict[str, Any]]] = {
    "drift": _drift,
    "nights": _nights,
    "lending": _lending,
    "held_out": _held_out,
    "peers": _peers,
}
"""The sections of the page, by name. Each returns values for JSON."""
SWAPPED = ("held_out",)
"""The sections whose batches come from the third of the loans that nobody tuned on."""
FUNCTIONS: dict[str, Callable[[Contract, LoanPool, Any], Any]] = {
    "round": run_round,
    "night": nights.run_nights,
    "stream": lending.run_stream,
}


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


def _public_name(source: str) -> str:
    """Return the file name of a local source, so that the page shows no folder of this machine.

    A URL or a description is returned unchanged.
    """
    return Path(source).name if Path(source).is_absolute() else source


def _map(function: str, tasks: Sequence[Any], jobs: int, file: Path) -> Iterator[Any]:
    """Run tasks in one or more processes. Yield the results in the order of the tasks."""
    jobs = min(jobs or os.cpu_count() or 1, max(len(tasks), 1))
    calls = [(function, task) for task in tasks]
    if jobs == 1:
        _open(file)
        yield from track_items(map(_call, calls), len(tasks), function, log, 100)
        return
    # Spawn the processes. A forked process would copy locks that threads of loaded libraries hold,
    # and could then wait forever, because these threads do not exist in the forked process.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, _open, (file,)) as executor:
        results = executor.map(_call, calls, chunksize=1)
        yield from track_items(results, len(tasks), function, log, 100)


_OPENED: list[tuple[Contract, LoanPool]] = []
"""The contract and the pool of loans for all tasks in this process, set by `_open`."""


def _open(file: Path) -> None:
    _OPENED[:] = [pickle.loads(file.read_bytes())]  # noqa: S301 - this command wrote the file


def _call(call: tuple[str, Any]) -> Any:
    function, task = call
    ((contract, pool),) = _OPENED
    with threadpool_limits(limits=1):
        return FUNCTIONS[function](contract, pool, task)
