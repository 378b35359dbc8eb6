"""Run the peers, Evidently and NannyML, on a calibration's batches.

The peers are installed in an environment of their own, because Evidently needs an older pandas.
"""

import json
import logging
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.rounds import columns_to_decorrelate
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS, eligible_columns, permute_column
from loan_scoring.models.baseline import PREDICTIONS

log = logging.getLogger(__name__)

REQUIREMENTS = Path(__file__).with_name("peers.txt")
SCRIPT = Path(__file__).with_name("peer_drift.py")
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",  # no telemetry of Evidently, and with the next two none of NannyML
    "NML_DISABLE_USAGE_LOGGING": "1",
    "NML_DISABLE_USER_ANALYTICS": "1",
    "OMP_NUM_THREADS": "1",  # Evidently and NannyML run side by side
}
NONE = "none"
"""The value of `shift` for a batch to which no shift was applied."""


BATCHES = 10
"""Number of batches of each kind that are compared with one baseline."""
CHUNKS = 20
"""Number of chunks of the batch's size that each baseline has, for NannyML's thresholds."""
SIZES = (500, 2_000)
"""Batch sizes of the peers. Batches of 5,000 loans take them over an hour of two cores."""
BASELINE_SHARE = 0.6
"""Share of the pool from which baselines are drawn. Batches are drawn from the rest."""


def peers_python() -> Path | None:
    """Return the path of Python in the peers' environment. Set up the environment if needed.

    If the environment cannot be set up, log a warning and return None.
    """
    folder = settings.state_dir() / "peers"
    python, ready = folder / "bin" / "python", folder / ".ready"
    requirements = REQUIREMENTS.read_text()
    if python.is_file() and ready.is_file() and ready.read_text() == requirements:
        return python
    log.info("setting up Evidently and NannyML in %s, which takes a minute or two", folder)
    install = [
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--requirement", str(REQUIREMENTS),
    ]  # fmt: skip
    for command in ([sys.executable, "-m", "venv", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            why = lines[-1] if lines else f"exit {done.returncode}"
            log.warning("Evidently and NannyML cannot be set up and are not measured: %s", why)
            return None
    ready.write_text(requirements)
    return python


def peer_versions(python: Path) -> dict[str, str]:
    """Return the versions of Evidently, NannyML, pandas and SciPy in the peers' environment."""
    code = (
        "from importlib.metadata import version; import json; "
        "print(json.dumps({n: version(n) for n in ('evidently', 'nannyml', 'pandas', 'scipy')}))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def run_peers(python: Path, what: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Run peer_drift.py on a folder that contains a manifest. Yield the printed JSON objects.

    Args:
        python: path of Python in the peers' environment.
        what: `evidently`, `nannyml` or `time`.
        folder: folder with manifest.json.
    """
    with subprocess.Popen(
        [str(python), str(SCRIPT), what, str(folder)],
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - because stdout is PIPE
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        log.warning("peers: %s ended with %d", what, process.returncode)


def column_kinds(table: pa.Table) -> dict[str, list[str]]:
    """Return the column names of a table, split into `numbers` and `categories` for a manifest."""
    kinds: dict[str, list[str]] = {"numbers": [], "categories": []}
    for field in table.schema:
        kinds["categories" if pa.types.is_string(field.type) else "numbers"].append(field.name)
    return kinds


def count_peer_alerts(
    contract: Contract, pool: pa.Table, baselines: int, folder: Path
) -> dict[str, Any]:
    """Count the batches in which each peer raises an alert.

    The peers compare only the inputs. In an undrifted batch, an alert on any column counts. Each
    shift is applied to one column, the next batch has the next column, and the peers then compare
    this column alone. For a broken correlation they compare all columns.

    Args:
        contract: contract of the portfolio.
        pool: typed loans.
        baselines: number of baselines of each size, each with BATCHES batches of each kind.
        folder: folder into which the batches are written.

    Returns:
        `counts`, with alerts and batches by way, shift and size, and `versions` of the peers. Both
        are empty if `baselines` is 0 or if the peers' environment cannot be set up.
    """
    python = peers_python() if baselines else None
    if python is None:
        return {"counts": [], "versions": {}}
    inputs = pool.select([name for name in pool.column_names if name not in PREDICTIONS])
    parts = [
        _write_part(contract, inputs, size, number, folder / f"{size}-{number}")
        for size in SIZES
        for number in range(baselines)
    ]
    (folder / "manifest.json").write_text(json.dumps({**column_kinds(inputs), "parts": parts}))

    def count(what: str) -> list[dict[str, Any]]:
        counted: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
        for found in run_peers(python, what, folder):
            numbers = counted[found["way"], found["shift"], found["size"]]
            numbers[0] += found["drifted"] > 0
            numbers[1] += 1
        return [
            {"way": way, "shift": shift, "loans": size, "alerts": alerts, "batches": batches}
            for (way, shift, size), (alerts, batches) in counted.items()
        ]

    with ThreadPoolExecutor(2) as threads:
        counts = [each for part in threads.map(count, ("evidently", "nannyml")) for each in part]
    return {"counts": counts, "versions": peer_versions(python)}


def _write_part(
    contract: Contract, inputs: pa.Table, size: int, number: int, folder: Path
) -> dict[str, Any]:
    """Write a baseline of CHUNKS chunks and its batches. Return the entry of the manifest.

    If the baseline's part of the pool has fewer loans, the baseline is drawn with repetition.
    """
    folder.mkdir()
    dice = np.random.default_rng([contract.training.seed, size, number])
    order = dice.permutation(inputs.num_rows)
    cut = int(len(order) * BASELINE_SHARE)
    rows = dice.choice(order[:cut], CHUNKS * size, replace=CHUNKS * size > cut)
    baseline = inputs.take(pa.array(rows))
    pq.write_table(baseline, folder / "baseline.parquet")
    batches = []

    def write(table: pa.Table, shift: str, turn: int) -> None:
        file = folder / f"{shift}-{turn}.parquet"
        pq.write_table(table, file)
        batches.append({"file": str(file), "shift": shift, "size": size})

    for turn in range(BATCHES):
        batch = inputs.take(pa.array(dice.choice(order[cut:], size, replace=False)))
        write(batch, NONE, turn)
        if size != max(SIZES):
            continue
        place = number * BATCHES + turn
        for shift in (each for each in SHIFTS if each.required is not None and not each.is_alone):
            names = eligible_columns(contract, shift, inputs)
            name = names[place % len(names)]
            values, before = batch.column(name), inputs.column(name)
            drifted = shift.apply(values, before, shift.required or 0.0, dice)
            write(pa.table({name: drifted}), shift.name, turn)
        names = columns_to_decorrelate(contract, inputs)
        write(permute_column(batch, names[place % len(names)], dice), CORRELATION, turn)
    return {"baseline": str(folder / "baseline.parquet"), "batches": batches}
