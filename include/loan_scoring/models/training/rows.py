"""Read the rows of a training, compute their fingerprint, and keep the rows in a file."""

import hashlib
import io
import json
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from loan_scoring import database, settings
from loan_scoring.contract import KEY, Contract
from loan_scoring.contract.business_dates import local_time
from loan_scoring.database.cohorts import Cohorts, read_cohorts
from loan_scoring.database.files import write_artifact
from loan_scoring.database.session import Session
from loan_scoring.errors import ContractError, StateError
from loan_scoring.features.applications import read_labelled
from loan_scoring.features.lookups import last_delivery
from loan_scoring.models.holdout import COHORT
from loan_scoring.models.scorer import exclusion_reasons
from loan_scoring.models.training.applicants import (
    NO_OTHERS,
    Applicants,
    batches_of,
    describe_cohorts,
    read_applicants,
)
from loan_scoring.models.training.benchmark_tree import fit_benchmark
from loan_scoring.models.training.leaks import LeakReport, leak_report
from loan_scoring.models.training.tree_leaves import describe_leaves, pure_leaves
from loan_scoring.models.waiting import history_command, too_few_loans

log = logging.getLogger(__name__)

TRAINING_CODE_VERSION = "0.1.0"
"""The package version in which training code last changed the fitted models.

This version is part of each fingerprint. Set it to the package's version after a change of
encoding, candidates, calibration, personas, baseline, leak gate or hold-out, because the same rows
and contract then give other models. Then every portfolio fits new models at its next training. Do
not change this version only because the package's version changes.
"""

NOT_FITTED: dict[str, Any] = dict.fromkeys(
    (
        "outcomes", "promotion", "performance", "business", "service_level", "retraining",
        "notifications", "governance", "letter", "desk", "federated", "scan_form",
    ), True
) | {
    "columns": {"__all__": {"calendar"}},
    "target": {"open"}, "scoring": {"engine"}, "schedules": {"stream"},
    "ingest": {
        "quarantine", "max_days_ahead", "settled_seconds", "manifest", "deadline", "expected_on",
        "files",
    }
}  # fmt: skip
"""The parts of the contract that training does not read.

These parts are left out of the fingerprint, so that a change in one of them does not cause a new
fit.
"""


@dataclass(frozen=True)
class TrainingRows:
    """The rows of one training, which do not change while the trials of the training run.

    `table` has `loan_id`, the monitored columns that are not retired, the columns of exclusions,
    `is_default`, and `cohort_day` (see `models.holdout`). `batches` lists the batches and outcome
    files from which the rows came. `leaks` is the leak report, ready for JSON. `features`
    are the names of the columns that a model may read.

    If a change in the applicants or their defaults was detected, `since` is the first batch of the
    change, and `table` also has `is_recent`. A model is then fitted on all rows, but calibrated and
    measured on the recent rows only. Without a change, `since` is None.

    `outcomes_as_of` is the last change of outcomes before the rows were read: `change_id` and
    `changed_at` of table `outcome_changes`. It is None if there was no change yet.
    `lookup_delivery_id` is the last delivery of look-ups before the rows were read, or None.

    `cohorts` says which cohorts were read and what was left out, ready for JSON. `applicants` has
    the applicants of these batches with and without an outcome.
    """

    fingerprint: str
    table: pa.Table
    batches: list[dict[str, Any]]
    leaks: dict[str, Any]
    features: list[str]
    since: str | None = None
    outcomes_as_of: dict[str, Any] | None = None
    lookup_delivery_id: int | None = None
    cohorts: dict[str, Any] = field(default_factory=dict)
    applicants: Applicants = NO_OTHERS


def freeze_rows(session: Session) -> TrainingRows:
    """Return the rows of a training, read in one database snapshot, after the leak gate.

    Raises:
        ContractError: a feature leaks, and the contract refuses training on leaks.
        StateError: there are fewer labelled applications than the contract asks for, or only one
            outcome occurs.
    """
    contract = session.contract
    # Read in one snapshot, because `batches` must describe exactly the rows of `table` even if a
    # batch is published meanwhile.
    with database.snapshot(session.connection):
        cohorts = read_cohorts(session)
        since = _changed_since(session, cohorts)
        table = _read_labelled(session, since, cohorts)
        applicants = read_applicants(session, cohorts, since, _columns(contract))
        as_of = database.row(session.connection, "select_last_outcome_change")
        delivery = last_delivery(session)
    _refuse_too_little(contract, table, cohorts)
    for text in filter(None, (cohorts.left_out_text(), cohorts.drawn_text())):
        log.warning("%s: %s", contract.portfolio, text)
    report = _report_leaks(contract, table)
    today = local_time(contract.schedules.timezone).date()
    gone = {column.name for column in contract.inputs if column.is_retired(today)}
    # A feature is retired with the columns that it reads.
    retired = {name for name in contract.by_name if gone & contract.derived.closure([name])}
    features = [name for name in _pass_leak_gate(contract, report) if name not in retired]
    # Without the retired columns the rows have another fingerprint, so that new models are fitted.
    read = {exclusion.column for exclusion in contract.exclusions}
    watched = {c.name for c in contract.monitored} - retired
    kept = [KEY, *(name for name in contract.by_name if name in watched | read)]
    table = table.select([*kept, "is_default", *["is_recent"] * (since is not None), COHORT])
    applicants = applicants.select(kept)
    return TrainingRows(
        fingerprint_of(contract, table, applicants), table, batches_of(cohorts.mature),
        report.as_json(), features, since,
        None if as_of is None else as_of | {"changed_at": as_of["changed_at"].isoformat()},
        delivery, describe_cohorts(cohorts), applicants,
    )  # fmt: skip


def fingerprint_of(contract: Contract, table: pa.Table, applicants: Applicants = NO_OTHERS) -> str:
    """Return the sha256 of training rows, contract and TRAINING_CODE_VERSION.

    Two trainings with the same fingerprint fit the same models. Applicants are hashed only where
    there are any beyond the labelled loans, and cohorts only where a fit depends on them.
    """
    is_timed = contract.training.out_of_time or contract.training.holdout_days
    declared = contract.model_dump_json(exclude=NOT_FITTED)
    digest = hashlib.sha256(f"{TRAINING_CODE_VERSION}\n{declared}\n".encode())
    for part, rows in (("", table), *applicants.parts.items()):
        digest.update(part.encode())
        for name in (each for each in rows.column_names if each != COHORT or is_timed):
            values = rows.column(name).to_pandas()
            digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def write_rows(session: Session, training: TrainingRows) -> None:
    """Write the rows of a training to Parquet files among the portfolio's artifacts.

    The labelled loans are one file. Applicants, where there are any, are one file each.
    """
    names = (
        "batches", "leaks", "features", "since", "outcomes_as_of", "lookup_delivery_id", "cohorts",
    )  # fmt: skip
    applicants = training.applicants
    metadata = {name: getattr(training, name) for name in names} | {"counts": applicants.counts}
    metadata["parts"] = list(applicants.parts)
    table = training.table.replace_schema_metadata({"training": json.dumps(metadata, default=str)})
    for part, rows in (*applicants.parts.items(), ("", table)):
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        name = _file(training.fingerprint, part)
        write_artifact(session.contract.portfolio, name, buffer.getvalue())


def load_rows(session: Session, fingerprint: str) -> TrainingRows:
    """Load the rows of a planned training from its file.

    If the file is missing or damaged, the rows are read from the database again.

    Raises:
        StateError: the rows from the database have another fingerprint, because the data or the
            contract has changed.
        ContractError: as for `freeze_rows`.
    """
    contract = session.contract
    folder = settings.artifacts_dir(contract.portfolio)
    path = folder / _file(fingerprint)
    if path.is_file():
        table = pq.read_table(path)
        metadata = json.loads(table.schema.metadata[b"training"])
        files = {name: folder / _file(fingerprint, name) for name in metadata.pop("parts", [])}
        parts = {name: pq.read_table(file) for name, file in files.items() if file.is_file()}
        applicants = Applicants(**parts, counts=metadata.pop("counts", {}))
        if fingerprint_of(contract, table, applicants) == fingerprint:
            return TrainingRows(fingerprint, table, **metadata, applicants=applicants)
    training = freeze_rows(session)
    if training.fingerprint != fingerprint:
        raise StateError(
            f"the rows of training {fingerprint[:16]} are gone: {path} is missing or changed, "
            "and the labelled loans or the contract have changed since; run the training again"
        )
    return training


def delete_rows(session: Session, fingerprint: str) -> None:
    """Delete the files with the rows of a planned training, if they exist."""
    for part in ("", "everyone", "declined"):
        path = settings.artifacts_dir(session.contract.portfolio) / _file(fingerprint, part)
        path.unlink(missing_ok=True)


def read_leak_report(session: Session) -> LeakReport:
    """Read all labelled applications and return their leak report.

    Raises:
        StateError: there are fewer labelled applications than the contract asks for, or only one
            outcome occurs.
    """
    with database.snapshot(session.connection):
        cohorts = read_cohorts(session)
        table = _read_labelled(session, None, cohorts)
    contract = session.contract
    _refuse_too_little(contract, table, cohorts)
    report = _report_leaks(contract, table)
    leaking = {finding.column for finding in report.decisive}
    features = [column.name for column in contract.features if column.name not in leaking]
    found = fit_benchmark(contract, table, features) if features else None
    leaves = pure_leaves(found[0], contract.training.leaks, *found[1:]) if found else []
    return replace(report, leaves=describe_leaves(contract, leaves))


def _file(fingerprint: str, part: str = "") -> str:
    return f"training-{fingerprint[:16]}{f'-{part}' if part else ''}.parquet"


def _columns(contract: Contract) -> list[str]:
    return [*(column.name for column in contract.inputs), *contract.derived.columns]


def _read_labelled(session: Session, since: str | None, cohorts: Cohorts) -> pa.Table:
    return read_labelled(session, _columns(session.contract), since, cohorts)


def _changed_since(session: Session, cohorts: Cohorts) -> str | None:
    """Return the first batch of a change in the applicants or their defaults.

    The first batch comes from the alerts of kind `population` or `concept` that are not resolved.
    Return None if there is no such alert, or if too few loans since the change have final outcomes.
    """
    change = database.row(session.connection, "select_change")
    since = change["since"] if change else None
    if since is None:
        return None
    labelled = int(sum(each.final for each in cohorts.since(since)) * cohorts.drawn_share)
    needed = session.contract.training.min_recent_loans
    if labelled < needed:
        log.info("change since %s ignored: %d labelled loans of %d", since, labelled, needed)
        return None
    log.info("change since %s: its %d loans calibrate and measure the model", since, labelled)
    return str(since)


def _refuse_too_little(contract: Contract, table: pa.Table, cohorts: Cohorts) -> None:
    defaults = sum(table.column("is_default").to_pylist())
    shortage = too_few_loans(contract, table.num_rows, defaults, cohorts.left_out_text())
    if shortage is not None:
        raise StateError(f"{shortage}; type: {history_command(contract)}")


def _report_leaks(contract: Contract, table: pa.Table) -> LeakReport:
    judged = exclusion_reasons(contract, table).is_null().to_numpy(zero_copy_only=False)
    history = table.column("is_history").to_numpy()
    return leak_report(contract, table, judged, history)


def _pass_leak_gate(contract: Contract, report: LeakReport) -> list[str]:
    """Return the names of the features that have no decisive leak.

    Raises:
        ContractError: a feature leaks, and the contract refuses training on leaks.
    """
    leaking = {finding.column: "; ".join(finding.reasons) for finding in report.decisive}
    if leaking and contract.training.leaks.action == "refuse":
        columns = ", and ".join(f"{name} ({why})" for name, why in leaking.items())
        limit = contract.training.leaks.null_auc_limit
        nulls = any((each.judged.null_auc or 0) >= limit for each in report.decisive)
        level = "or give the null texts a level of their own; " * nulls
        raise ContractError(
            f"{contract.portfolio}: the leak gate refuses training: {columns}; tag the column "
            "known: pricing or outcome, exclude the loans, or acknowledge it under training.leaks; "
            f"{level}"
            f"type: loan-scoring leaks --portfolio {contract.portfolio}"
        )
    for name, why in leaking.items():
        log.warning("the leak gate drops %s: %s", name, why)
    return [column.name for column in contract.features if column.name not in leaking]
