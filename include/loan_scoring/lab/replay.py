"""Replay: cut a labelled file into a history drop, nightly drops and the outcomes that follow."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import Contract
from loan_scoring.errors import LoanScoringError, SourceError
from loan_scoring.ingest.files import locations
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.lab.scenarios import (
    apply_scenario,
    check_scenarios,
    shuffle_outcomes,
    worsen_outcomes,
)
from loan_scoring.lab.source import resolve_source
from loan_scoring.lab.synthetic import generate_loans

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replay:
    """What a replay was cut from, and the files that it left in the landing folder."""

    source: str
    """The file or URL; begins with `synthetic` where the rows are generated."""
    is_synthetic: bool
    history_rows: int = 0
    batch_ids: list[str] = field(default_factory=list)
    """The nights, in their order; `history` is not among them."""
    application_files: dict[str, Path] = field(default_factory=dict)
    """The file of each batch, `history` first."""
    outcome_files: list[Path] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)


def replay_loans(
    contract: Contract,
    *,
    source: str | None,
    nights: int,
    per_night: int,
    start: str | None = None,
    seed: int | None = None,
    scenarios: Mapping[int, Sequence[str]] | None = None,
    landing: Path,
    log: logging.Logger = LOGGER,
) -> Replay:
    """Cut the labelled file of a portfolio into drops; the same arguments give the same bytes.

    Raises:
        SourceError: the file cannot be read, has malformed rows, or too few.
        LoanScoringError: an argument is out of its bounds, or a drop cannot be written.
    """
    scenarios = scenarios or {}
    seed = contract.training.seed if seed is None else seed
    first_night = _first_night(start or contract.replay.start)
    if nights < 0 or per_night < 1 or seed < 0:
        raise LoanScoringError(
            f"{nights} nights of {per_night} with seed {seed}: nights and seed are 0 or more, "
            "loans a night 1 or more"
        )
    check_scenarios(contract, nights, scenarios)
    location = resolve_source(contract, source)
    table, result = _labelled(contract, location, nights * per_night, seed, log)
    history_rows = int(table.num_rows * contract.replay.history_share)
    _need_rows(result.source, table.num_rows, history_rows, nights, per_night)
    order = np.random.default_rng(seed).permutation(table.num_rows)
    ranks = _key_ranks(contract, table, result.source)

    def drop(rows: np.ndarray) -> pa.Table:
        return table.take(pa.array(rows[np.argsort(ranks[rows], kind="stable")]))

    drops = _Landing(landing, result, log)
    drops.land("applications", "history", drop(order[:history_rows]))
    for night in range(1, nights + 1):
        begin = history_rows + (night - 1) * per_night
        applications, outcomes = _night(
            contract, drop(order[begin : begin + per_night]), seed, night, scenarios.get(night, [])
        )
        batch_id = str(first_night + timedelta(days=night - 1))
        observed_on = str(
            first_night + timedelta(days=night - 1 + contract.replay.outcome_lag_nights)
        )
        result.batch_ids.append(batch_id)
        drops.land("applications", batch_id, applications)
        observed = pa.array([observed_on] * outcomes.num_rows, pa.string())
        drops.land("outcomes", observed_on, outcomes.append_column("observed_on", observed))
    return Replay(**{**vars(result), "history_rows": history_rows})


def _labelled(
    contract: Contract, location: str | None, drawn: int, seed: int, log: logging.Logger
) -> tuple[pa.Table, Replay]:
    """Return the labelled rows, read or generated, and a replay that names their source."""
    if location is not None:
        is_synthetic = locations.is_synthetic(location)
        text = f"{'synthetic: ' if is_synthetic else ''}{location_label(location)}"
        return _read(contract, location), Replay(text, is_synthetic)
    rows = contract.replay.generated_rows
    while rows - int(rows * contract.replay.history_share) < drawn:
        rows = max(rows + 1, int(drawn / (1 - contract.replay.history_share)))
    log.warning(
        "no labelled file of %s can be read: %s loans are generated from the contract; every file "
        "is marked synthetic, and no figure that comes of it says anything of real loans",
        contract.portfolio,
        f"{rows:,}",
    )
    text = f"synthetic: {rows} loans generated from the contract, seed {seed}"
    return generate_loans(contract, rows, seed), Replay(text, is_synthetic=True)


def _read(contract: Contract, location: str) -> pa.Table:
    wanted = [*(column.source for column in contract.columns), contract.target.source]
    known = pa.array([*contract.target.positive, *contract.target.negative])
    tables = []
    with open_table(location, wanted, encoding=contract.source.encoding) as table:
        for block in table:
            for record in block.malformed:
                raise SourceError(
                    f"{location_label(location)}: line {record.line_number} is no row "
                    f"({record.reason}): {record.raw_text[:80]!r}; mend or remove it"
                )
            labels = block.table.column(contract.target.source)
            unknown = pc.index(pc.is_in(labels, value_set=known), False).as_py()
            if unknown >= 0:
                raise SourceError(
                    f"{location_label(location)}: line {block.line_numbers[unknown]}: "
                    f"{contract.target.source} is '{labels[unknown]}'; the contract's target knows "
                    f"{', '.join(known.to_pylist())}"
                )
            tables.append(block.table)
    return pa.concat_tables(tables)


def _first_night(start: str) -> date:
    try:
        return date.fromisoformat(start)
    except ValueError:
        raise LoanScoringError(f"start '{start}' is no date; write it as 2026-01-05") from None


def _need_rows(source: str, rows: int, history_rows: int, nights: int, per_night: int) -> None:
    left = rows - history_rows
    if history_rows < 1 or nights * per_night > left:
        raise SourceError(
            f"{source}: has {rows:,} rows, of which {history_rows:,} are history and {left:,} are "
            f"left; {nights} nights of {per_night:,} were asked for; ask for fewer"
        )


def _key_ranks(contract: Contract, table: pa.Table, source: str) -> np.ndarray:
    """Return the place of each row in the ascending order of keys."""
    keys = table.column(contract.key.source)
    if contract.key.type == "integer":
        try:
            keys = keys.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{source}: a {contract.key.source} is no whole number; mend it: {error}"
            ) from error
    ranks = np.empty(table.num_rows, np.int64)
    ranks[pc.sort_indices(keys).to_numpy()] = np.arange(table.num_rows)
    return ranks


def _night(
    contract: Contract, labelled: pa.Table, seed: int, night: int, names: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Return a night's applications and its outcomes, scenarios laid on."""
    target = contract.target.source
    applications = labelled.drop_columns(target)
    labels = labelled.column(target).to_pylist()
    for name in names:
        scenario = contract.replay.scenarios[name]
        # Seeded by name too: laying on a second scenario leaves the first as it was.
        rng = np.random.default_rng([seed, night, crc32(name.encode())])
        applications = apply_scenario(applications, scenario, contract, rng)
        if scenario.kind == "worsen_outcomes":
            worsen_outcomes(labels, scenario, contract, rng)
        elif scenario.kind == "shuffle_outcomes":
            shuffle_outcomes(labels, applications, scenario, contract, rng)
    for column in contract.columns:
        if not column.is_known_at_application:
            # Not known on that night, and its nulls would give the outcome away.
            blank = pa.array([""] * labelled.num_rows, pa.string())
            place = applications.column_names.index(column.source)
            applications = applications.set_column(place, column.source, blank)
    key = contract.key.source
    return applications, pa.table({key: labelled.column(key), target: pa.array(labels)})


class _Landing:
    """Writes drops whole or not at all, and leaves alone what is there already."""

    def __init__(self, folder: Path, result: Replay, log: logging.Logger) -> None:
        self._folder, self._result, self._log = folder, result, log

    def land(self, kind: str, name: str, table: pa.Table) -> None:
        real, generated = f"{name}.csv", f"{name}.synthetic.csv"
        mine, other = (generated, real) if self._result.is_synthetic else (real, generated)
        path = self._folder / kind / mine
        try:
            is_written = self._write(path, _csv_bytes(table))
            twin = path.with_name(other)
            if twin.exists():
                # One batch is one file: two would be taken for two deliveries.
                self._log.warning("%s: removed, %s takes its place", twin, path.name)
                twin.unlink()
        except OSError as error:
            raise LoanScoringError(f"{path}: cannot be written: {error.strerror}") from error
        (self._result.written if is_written else self._result.unchanged).append(path)
        if kind == "applications":
            self._result.application_files[name] = path
        else:
            self._result.outcome_files.append(path)

    def _write(self, path: Path, content: bytes) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.stat().st_size == len(content) and path.read_bytes() == content:
                return False
            self._log.warning("%s: replaced, it held other rows", path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return True


def _csv_bytes(table: pa.Table) -> bytes:
    """Write a table of text as CSV, quoting only what needs it."""
    header = pa.table({name: pa.array([name]) for name in table.column_names})
    lines = [
        line
        for part in (header, table)
        for line in pc.binary_join_element_wise(*map(_quoted, part.columns), ",").to_pylist()
    ]
    return ("\n".join(lines) + "\n").encode()


def _quoted(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    needs_quotes = pc.match_substring_regex(texts, '[,"\r\n]')
    if not pc.any(needs_quotes).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(needs_quotes, pc.binary_join_element_wise('"', doubled, '"', ""), texts)
