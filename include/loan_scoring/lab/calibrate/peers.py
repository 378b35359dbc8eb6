"""Run the peers, Evidently and NannyML, on a calibration's batches.

The peers are installed in an environment of their own, because Evidently needs an older pandas.
"""

import json
import logging
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring import settings
from loan_scoring.contract import Contract
from loan_scoring.lab.calibrate.rounds import SplitPool, columns_to_decorrelate, split_pool
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS, eligible_columns, permute_column
from loan_scoring.models.baseline import PREDICTIONS

log = logging.getLogger(__name__)

REQUIREMENTS = Path(__file__).with_name("peers.txt")
SCRIPT = Path(__file__).with_name("peer_drift.py")
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",  # read by Evidently. NannyML reads the other variables.
    "NML_DISABLE_USAGE_LOGGING": "1",
    "NML_DISABLE_USER_ANALYTICS": "1",
}
NONE = "none"
"""The value of `shift` for a batch to which no shift was applied."""


@dataclass(frozen=True)
class PeerAlerts:
    """The number of batches that a peer compared, and the number of these batches with an alert."""

    alerts: int
    batches: int


Counts = dict[str, dict[tuple[str, int], PeerAlerts]]
"""Counts by name of the peer and settings (`Evidently, default`), then by (shift, batch size)."""


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
        env={**os.environ, **TELEMETRY_OFF, "PYTHONPATH": ""},
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
    contract: Contract,
    pool: pa.Table,
    sizes: Sequence[int],
    power_size: int,
    seeds: Sequence[Sequence[int]],
    folder: Path,
) -> tuple[Counts, dict[str, str]]:
    """Count the batches in which each peer raises an alert, over several rounds.

    The peers compare only the inputs. In an undrifted batch, an alert on any column counts. In a
    round, each shift is applied to one column, and the peers then compare only this column. The
    next round applies the shift to the next column.

    Args:
        contract: contract of the portfolio.
        pool: typed and scored loans.
        sizes: sizes of the undrifted batches.
        power_size: size of the batches to which shifts are applied.
        seeds: random seeds, one for each round.
        folder: folder into which the batches are written.

    Returns:
        The counts and the versions of the peers. Both are empty if there is no seed or if the
        peers' environment cannot be set up.
    """
    python = peers_python() if seeds else None
    if python is None:
        return {}, {}
    inputs = pool.select([name for name in pool.column_names if name not in PREDICTIONS])
    rounds = []
    for turn, seed in enumerate(seeds):
        rounds.append(
            _write_round(
                split_pool(contract, pool, sizes, seed), power_size, turn, seed, folder / str(turn)
            )
        )
    (folder / "manifest.json").write_text(json.dumps({**column_kinds(inputs), "rounds": rounds}))
    counted: dict[str, dict[tuple[str, int], list[int]]] = defaultdict(
        lambda: defaultdict(lambda: [0, 0])
    )
    for what in ("evidently", "nannyml"):
        done = 0
        for found in run_peers(python, what, folder):
            count = counted[found["way"]][found["shift"], found["size"]]
            count[0] += found["drifted"] > 0
            count[1] += 1
            if count[1] > done:
                done = count[1]
                log.info("%s: round %d of %d", what, done, len(seeds))
    alerts = {
        way: {key: PeerAlerts(*count) for key, count in found.items()}
        for way, found in counted.items()
    }
    return alerts, peer_versions(python)


def _write_round(
    split: SplitPool, power_size: int, turn: int, seed: Sequence[int], folder: Path
) -> dict[str, Any]:
    """Write the baseline and the batches of one round. Return the round's manifest entry."""
    inputs = split.fitted.inputs
    folder.mkdir()
    batches = []

    def write(table: pa.Table, shift: str, size: int) -> None:
        file = folder / f"{shift}-{size}.parquet"
        pq.write_table(table, file)
        batches.append({"file": str(file), "shift": shift, "size": size})

    baseline = folder / "baseline.parquet"
    pq.write_table(split.baseline.select(inputs), baseline)
    for size, batch in split.batches.items():
        write(batch.select(inputs), NONE, size)
    batch = split.batches[power_size].select(inputs)
    rng = np.random.default_rng(list(seed))
    for shift in (shift for shift in SHIFTS if shift.required is not None):
        names = eligible_columns(shift, split.baseline.select(inputs), ())
        name, amount = names[turn % len(names)], shift.required or 0.0
        drifted = shift.apply(batch.column(name), split.baseline.column(name), amount, rng)
        write(pa.table({name: drifted}), shift.name, power_size)
    names = columns_to_decorrelate(split.baseline, inputs)
    name = names[turn % len(names)]
    write(permute_column(batch, name, rng).select([name]), CORRELATION, power_size)
    return {"baseline": str(baseline), "batches": batches}
