"""Cut a labelled file into history, nightly applications, and outcomes that land later."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.business_dates import HISTORY, read_date
from loan_scoring.contract.presence import split_columns_of_file
from loan_scoring.errors import LoanScoringError, SourceError
from loan_scoring.ingest.files import locations
from loan_scoring.ingest.files.locations import location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.keys import joined_keys
from loan_scoring.ingest.outcome_rows import read_states
from loan_scoring.ingest.replayed import record_scenarios
from loan_scoring.lab.landing import LandingFolder
from loan_scoring.lab.outcome_files import made_keys, outcome_file
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
    """The source of a replay, and the files that the replay has in the landing folder."""

    source: str
    """File or URL of the loans, or a description that begins with `synthetic`."""
    is_synthetic: bool
    history_rows: int = 0
    batch_ids: list[str] = field(default_factory=list)
    """The batch_ids of the nights in calendar order. `history` is not in the list."""
    application_files: dict[str, Path] = field(default_factory=dict)
    """The file of applications by batch_id. `history` is the first batch_id."""
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
    fits: bool = False,
) -> Replay:
    """Cut the labelled file of a portfolio into drops and write the drops into the landing folder.

    Return the source and the files. Two calls with equal arguments and an unchanged labelled file
    give files of equal content, so the second call writes nothing.

    Args:
        contract: contract of the portfolio.
        source: file or URL of the labelled loans. If None, `resolve_source` searches for a source.
            If the search finds no source, loans are generated.
        nights: number of nights after the history.
        per_night: number of loans in each night.
        start: date of the first night. If None, the date `start` of the contract is used.
        seed: random seed for the order of the loans and for the scenarios. If None, the seed of
            the contract is used.
        scenarios: names of scenarios by night number. The first night is number 1.
        landing: folder into which the drops are written.
        log: logger for warnings.
        fits: whether nights may have fewer loans than `per_night`, so that a small file suffices.

    Raises:
        SourceError: the file cannot be read, has malformed rows, or too few rows.
        LoanScoringError: an argument is out of bounds, or a drop cannot be written.
    """
    scenarios = scenarios or {}
    seed = contract.training.seed if seed is None else seed
    lag = contract.replay.outcome_lag_nights
    first_night = _first_night(start or contract.replay.start, nights + lag)
    if nights < 0 or per_night < 1 or seed < 0:
        raise LoanScoringError(
            f"{nights} nights of {per_night} with seed {seed}: nights and seed must be 0 or more, "
            "loans a night 1 or more"
        )
    if isinstance(contract.ingest.files, list):
        raise LoanScoringError(
            f"{contract.portfolio}: replay writes one file a night, and ingest.files lists "
            "several; replay with a contract without this list"
        )
    check_scenarios(contract, nights, scenarios)
    location = resolve_source(contract, source)
    table, result = _labelled(contract, location, nights * per_night, seed, log)
    history_rows = int(table.num_rows * contract.replay.history_share)
    if fits:
        per_night = max(1, min(per_night, (table.num_rows - history_rows) // max(1, nights)))
    _check_rows(result.source, table.num_rows, history_rows, nights, per_night)
    order = np.random.default_rng(seed).permutation(table.num_rows)
    ranks = _key_ranks(contract, table, result.source)

    def drop(rows: np.ndarray) -> pa.Table:
        return table.take(pa.array(rows[np.argsort(ranks[rows], kind="stable")]))

    formats = {
        "applications": contract.source,
        "outcomes": contract.outcomes.files(contract.source),
    }
    folder = LandingFolder(landing, log, is_synthetic=result.is_synthetic, formats=formats)

    def land(kind: str, name: str, table: pa.Table) -> Path:
        path, is_written = folder.land(kind, name, table)
        (result.written if is_written else result.unchanged).append(path)
        if kind == "applications":
            result.application_files[name] = path
        else:
            result.outcome_files.append(path)
        return path

    land("applications", "history", drop(order[:history_rows]))
    for night in range(1, nights + 1):
        begin = history_rows + (night - 1) * per_night
        applications, outcomes = _night(
            contract, drop(order[begin : begin + per_night]), seed, night, scenarios.get(night, [])
        )
        batch_id = str(first_night + timedelta(days=night - 1))
        observed_on = str(first_night + timedelta(days=night - 1 + lag))
        result.batch_ids.append(batch_id)
        path = land("applications", batch_id, applications)
        if contract.key.made_from:
            outcomes = outcomes.add_column(0, KEY, made_keys(contract, path))
        land("outcomes", observed_on, outcome_file(contract, outcomes, observed_on))
    put_on = {each: scenarios.get(night, []) for night, each in enumerate(result.batch_ids, 1)}
    record_scenarios(landing, put_on)
    return Replay(**{**vars(result), "history_rows": history_rows})


def _labelled(
    contract: Contract, location: str | None, drawn: int, seed: int, log: logging.Logger
) -> tuple[pa.Table, Replay]:
    """Return the labelled loans, read or generated, and a Replay with only the source."""
    if location is not None:
        is_synthetic = locations.is_synthetic(location)
        text = f"{'synthetic: ' if is_synthetic else ''}{location_label(location)}"
        return _read(contract, location), Replay(text, is_synthetic)
    rows = contract.replay.generated_rows
    while rows - int(rows * contract.replay.history_share) < drawn:
        rows = max(rows + 1, int(drawn / (1 - contract.replay.history_share)))
    log.warning(
        "no labelled file of %s can be read: %s loans are generated from the contract; every file "
        "is marked synthetic, and figures from it say nothing about real loans",
        contract.portfolio,
        f"{rows:,}",
    )
    text = f"synthetic: {rows} loans generated from the contract, seed {seed}"
    return generate_loans(contract, rows, seed), Replay(text, is_synthetic=True)


def _read(contract: Contract, location: str) -> pa.Table:
    wanted, optional = split_columns_of_file(contract, HISTORY)
    tables = []
    with open_table(location, wanted, optional=optional, file_format=contract.source) as table:
        for block in table:
            for record in block.malformed:
                raise SourceError(
                    f"{location_label(location)}: line {record.line_number} is not a valid "
                    f"row ({record.reason}): {record.raw_text[:80]!r}; correct or remove it"
                )
            labels = block.table.column(contract.target.source)
            is_default, is_open = read_states(contract.target, labels)
            unknown = pc.index(pc.or_(is_default.is_valid(), pa.array(is_open)), False).as_py()
            if unknown >= 0:
                target = contract.target
                states = [*target.positive, *target.negative, *target.open]
                raise SourceError(
                    f"{location_label(location)}: line {block.line_numbers[unknown]}: "
                    f"{contract.target.source} is '{labels[unknown]}'; the contract's target has "
                    f"{', '.join(states)}"
                )
            tables.append(block.table)
    return pa.concat_tables(tables)


def _first_night(start: str, days: int) -> date:
    first = read_date(start)
    if first is None:
        raise LoanScoringError(f"start '{start}' is not a date; write it as 2026-01-05")
    if (date.max - first).days < days:
        raise LoanScoringError(f"start '{start}': the nights would end after the year 9999")
    return first


def _check_rows(source: str, rows: int, history_rows: int, nights: int, per_night: int) -> None:
    left = rows - history_rows
    if history_rows < 1 or nights * per_night > left:
        raise SourceError(
            f"{source}: has {rows:,} rows, of which {history_rows:,} are history and {left:,} are "
            f"left; {nights} nights of {per_night:,} need more; replay fewer"
        )


def _key_ranks(contract: Contract, table: pa.Table, source: str) -> np.ndarray:
    """Return the rank of each row if rows are sorted by key in ascending order, shape (rows,).

    Keys that are made from rows are not known before the files are written: rows keep their order.
    """
    if contract.key.made_from:
        return np.arange(table.num_rows)
    parts = [table.column(name).combine_chunks() for name in contract.key.sources]
    keys = joined_keys(contract.key, parts) if len(parts) > 1 else parts[0]
    if contract.key.type == "integer":
        try:
            keys = keys.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{source}: a {contract.key.sources[0]} is not a whole number; correct it: {error}"
            ) from error
    ranks = np.empty(table.num_rows, np.int64)
    ranks[pc.sort_indices(keys).to_numpy()] = np.arange(table.num_rows)
    return ranks


def _night(
    contract: Contract, labelled: pa.Table, seed: int, night: int, names: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Apply the scenarios of one night. Return the night's applications and outcomes."""
    target = contract.target.source
    applications = labelled.drop_columns(target)
    labels = labelled.column(target).to_pylist()
    for name in names:
        scenario = contract.replay.scenarios[name]
        # Each scenario has its own random generator, seeded with the scenario's name. So a scenario
        # draws the same rows, whether or not the night has other scenarios.
        rng = np.random.default_rng([seed, night, crc32(name.encode())])
        applications = apply_scenario(applications, scenario, contract, rng)
        if scenario.kind == "worsen_outcomes":
            worsen_outcomes(labels, scenario, contract, rng)
        elif scenario.kind == "shuffle_outcomes":
            shuffle_outcomes(labels, applications, scenario, contract, rng)
    for column in contract.columns:
        if not column.is_known_at_application and {*column.sources} <= {*applications.column_names}:
            # Leave the column empty, because the values are not known on that night, and because
            # even the nulls would reveal outcomes.
            blank = pa.array([""] * labelled.num_rows, pa.string())
            source = column.sources[0]
            place = applications.column_names.index(source)
            applications = applications.set_column(place, source, blank)
    keys = labelled.select(contract.key.sources)
    return applications, keys.append_column(target, pa.array(labels))
