"""Evidently and NannyML in an environment of their own, given the same batches as Parquet."""

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
from loan_scoring.lab.calibrate.rounds import DealtPool, columns_to_decorrelate, deal_pool
from loan_scoring.lab.calibrate.shifts import CORRELATION, SHIFTS, eligible_columns, permute_column
from loan_scoring.models.baseline import PREDICTIONS

log = logging.getLogger(__name__)

REQUIREMENTS = Path(__file__).with_name("peers.txt")
SCRIPT = Path(__file__).with_name("peer_drift.py")
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",  # Evidently
    "NML_DISABLE_USAGE_LOGGING": "1",
    "NML_DISABLE_USER_ANALYTICS": "1",
}
NONE = "none"
"""The shift of an undrifted batch."""


@dataclass(frozen=True)
class PeerAlerts:
    """In how many of some batches a peer raised an alert."""

    alerts: int
    batches: int


Counts = dict[str, dict[tuple[str, int], PeerAlerts]]
"""By peer, then by (shift, size of the batch)."""


def peers_python() -> Path | None:
    """Return the peers' Python, made where it is not there yet; None where it cannot be made."""
    folder = settings.state_dir() / "peers"
    python, ready = folder / "bin" / "python", folder / ".ready"
    wanted = REQUIREMENTS.read_text()
    if python.is_file() and ready.is_file() and ready.read_text() == wanted:
        return python
    log.info("making the peers' environment in %s: Evidently and NannyML, a minute or two", folder)
    install = [
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--requirement", str(REQUIREMENTS),
    ]  # fmt: skip
    for command in ([sys.executable, "-m", "venv", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            why = said[-1] if said else f"exit {done.returncode}"
            log.warning("the peers' environment cannot be made, so they are not measured: %s", why)
            return None
    ready.write_text(wanted)
    return python


def peer_versions(python: Path) -> dict[str, str]:
    """Return the versions of what is compared with."""
    code = (
        "from importlib.metadata import version; import json; "
        "print(json.dumps({n: version(n) for n in ('evidently', 'nannyml', 'pandas', 'scipy')}))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def run_peers(python: Path, what: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the peers' script prints for a folder with a manifest."""
    with subprocess.Popen(
        [str(python), str(SCRIPT), what, str(folder)],
        env={**os.environ, **TELEMETRY_OFF, "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        log.warning("peers: %s ended with %d", what, process.returncode)


def column_kinds(table: pa.Table) -> dict[str, list[str]]:
    """Return which columns of a table are numbers and which are categories, for a manifest."""
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
    """Count the alerts of the peers in the batches of the rounds of some seeds.

    They watch the inputs. Of an undrifted batch any column counts; a shift is laid on one column a
    round, each in its turn, and that column is what they are asked about.

    Returns the counts and the versions, both empty where there are no peers.
    """
    python = peers_python() if seeds else None
    if python is None:
        return {}, {}
    watched = pool.select([name for name in pool.column_names if name not in PREDICTIONS])
    rounds = []
    for turn, seed in enumerate(seeds):
        rounds.append(
            _write(
                deal_pool(contract, pool, sizes, seed), power_size, turn, seed, folder / str(turn)
            )
        )
    (folder / "manifest.json").write_text(json.dumps({**column_kinds(watched), "rounds": rounds}))
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
    told = {
        way: {key: PeerAlerts(*count) for key, count in found.items()}
        for way, found in counted.items()
    }
    return told, peer_versions(python)


def _write(
    dealt: DealtPool, power_size: int, turn: int, seed: Sequence[int], folder: Path
) -> dict[str, Any]:
    inputs = dealt.fitted.inputs
    folder.mkdir()
    batches = []

    def write(table: pa.Table, shift: str, size: int) -> None:
        file = folder / f"{shift}-{size}.parquet"
        pq.write_table(table, file)
        batches.append({"file": str(file), "shift": shift, "size": size})

    baseline = folder / "baseline.parquet"
    pq.write_table(dealt.known.select(inputs), baseline)
    for size, batch in dealt.batches.items():
        write(batch.select(inputs), NONE, size)
    batch = dealt.batches[power_size].select(inputs)
    rng = np.random.default_rng(list(seed))
    for shift in (shift for shift in SHIFTS if shift.asked is not None):
        names = eligible_columns(shift, dealt.known.select(inputs), ())
        name, asked = names[turn % len(names)], shift.asked or 0.0
        drifted = shift.lay(batch.column(name), dealt.known.column(name), asked, rng)
        write(pa.table({name: drifted}), shift.name, power_size)
    names = columns_to_decorrelate(dealt.known, inputs)
    name = names[turn % len(names)]
    write(permute_column(batch, name, rng).select([name]), CORRELATION, power_size)
    return {"baseline": str(baseline), "batches": batches}
