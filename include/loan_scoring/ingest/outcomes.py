"""Ingest a file of outcomes, and check the outcomes against known loans and known outcomes."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loan_scoring import database
from loan_scoring.contract import outcome_rules_sha256
from loan_scoring.database import audit
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.file_lines import record_files
from loan_scoring.ingest.files.locations import Location, location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.manifests import CheckedRows, read_manifests
from loan_scoring.ingest.outcome_changes import record_change, refresh_outcomes
from loan_scoring.ingest.outcome_files import PREFIX, OutcomeFile, outcome_file
from loan_scoring.ingest.outcome_landing import (
    ImpossibleRows,
    LandedRows,
    land_outcomes,
    quarantine_outcomes,
    remove_impossible_outcomes,
)
from loan_scoring.ingest.outcome_remedies import remedy
from loan_scoring.ingest.outcome_rows import outcome_columns
from loan_scoring.ingest.outcome_withdrawal import refuse_withdrawn_file
from loan_scoring.ingest.taken_outcomes import TakenOutcomes, log_taken

log = logging.getLogger(__name__)

FEW_ROWS = 10
"""A file of outcomes is refused only if at least this many rows break a rule.

A file may have only one or two late outcomes, so that a single broken row would exceed the limit on
the share of quarantined rows.
"""


@dataclass(frozen=True)
class Declaration:
    """What a person declares about a file of outcomes, with the person's name.

    `user` is the name for the audit log, such as `cli:NAME`. None means the role of the database
    session. `comment` is the reason of a correction. A file is also a correction if its name says
    so (see `outcome_file`).
    """

    user: str | None = None
    comment: str | None = None
    is_correction: bool = False


NOTHING_DECLARED = Declaration()


def take_outcomes(
    session: Session, location: str | Path, declared: Declaration = NOTHING_DECLARED
) -> TakenOutcomes:
    """Ingest a file of outcomes in one transaction.

    The newest statement on each loan becomes its outcome (see `refresh_outcomes`). If a file with
    the same name was ingested before, its statements no longer count, so a loan that the new file
    does not name loses the outcome that only the earlier file gave it.

    Ingesting the same bytes a second time changes nothing, with one exception. If a loan that was
    unknown the first time has since been ingested, all rows are checked again and become a new
    revision.

    A row whose state is open is counted and otherwise ignored. A row that repeats what counts
    already is accepted and is no new statement (docs/adr/0034). A row goes to quarantine in each of
    these cases:

    - The row cannot be read.
    - The loan is unknown.
    - The date of the outcome is before the loan's application, or in the future.
    - An earlier row of the file has the same loan and date.
    - The outcome contradicts another row of the file with the same loan and date, or, unless the
      file is a correction, a statement of another file that counts.

    Raises:
        SourceError: the file cannot be read, or a column is missing.
        StateError: the bytes were withdrawn, no row can be taken, or at least FEW_ROWS rows broke a
            rule and the share of these rows is larger than the contract allows. Then nothing is
            changed.
    """
    with database.transaction(session.connection):
        taken = take_outcomes_within(session, location, declared=declared)
    log_taken(session.contract, taken)
    return taken


def take_outcomes_within(
    session: Session,
    location: Location,
    sha256: str | None = None,
    *,
    adds: bool = False,
    declared: Declaration = NOTHING_DECLARED,
) -> TakenOutcomes:
    """Ingest a file of outcomes within the caller's transaction.

    Args:
        session: database session of the role that ingests.
        location: file of outcomes, or the file of `history`.
        sha256: hash that the file of `history` must have. With a hash, the file is ingested even if
            its bytes are unchanged, because loans that were unknown may be known now. None for a
            file of outcomes.
        adds: whether the file has only the corrected rows of `history`. Then all other statements
            of the file of `history` go on to count.
        declared: what a person declares about the file.

    Raises:
        SourceError: the file cannot be read, lacks a column, or has another hash.
        StateError: as for `take_outcomes`, or rows would be added to a withdrawn file.
    """
    contract, connection = session.contract, session.connection
    is_history = sha256 is not None
    if is_history or isinstance(location, tuple):
        # So that each file of `history` replaces the one before.
        file = OutcomeFile(f"{PREFIX}{HISTORY}", False)
    else:
        file = outcome_file(location, declared.is_correction)
    drop_id = file.drop_id
    columns = outcome_columns(contract, is_history, is_corrected=adds)
    with open_table(
        location, columns.wanted, file_format=columns.files, optional=columns.optional
    ) as table:
        if is_history and sha256 != table.sha256:
            raise SourceError(
                f"{location_label(location)}: the file changed since it landed; ingest it again"
            )
        # Ingest one file at a time, because otherwise two files with contradicting outcomes of
        # a loan could both pass the check.
        database.lock(connection, "outcomes")
        refuse_withdrawn_file(session, location, drop_id, None if adds else table.sha256)
        known = database.row(connection, "select_outcome_drop", drop_id=drop_id)
        same = known if known and known["sha256"] == table.sha256 and not is_history else None
        rules = outcome_rules_sha256(contract)
        if same and same["rules_sha256"] != rules:
            same = None
        if same and not same["has_unknown_loans"]:
            return _unchanged(session, same)
        manifests = [] if is_history else read_manifests(contract, location, with_totals=False)
        checked = CheckedRows(contract, table, manifests)
        landed = land_outcomes(session, columns, checked)
        checked.check()
        if same and not _is_any_known_now(session, same):
            return _unchanged(session, same)
        revision = known["revision"] + 1 if known is not None else 1
        key = {"drop_id": drop_id, "revision": revision}
        if known is not None:
            database.execute(
                connection, "insert_repeated_outcomes", drop_id=drop_id, revision=known["revision"]
            )
        impossible = remove_impossible_outcomes(
            session, columns, drop_id, is_correction=file.is_correction
        )
        _refuse_too_many(session, location, landed, impossible, known)
        database.execute(
            connection,
            "insert_outcome_drop",
            **key,
            source=location_label(location),
            sha256=table.sha256,
            rules_sha256=rules,
        )
        record_files(session, drop_id, revision, table)
        quarantine_outcomes(session, table, drop_id, revision, impossible)
    user = declared.user or f"role:{connection.info.user}"
    change = record_change(
        session,
        "corrected" if file.is_correction else "taken",
        drop_id,
        revision,
        user if file.is_correction else None,
        declared.comment,
    )
    # A correction overrules other statements, and the labels of history are carried to its next
    # revision. Both need every row as a statement.
    repeated = 0
    if not file.is_correction and not is_history:
        row = database.row(
            connection, "insert_outcome_repeats", drop_id=drop_id, change_id=change.change_id
        )
        repeated = row["rows"] if row else 0
    database.execute(connection, "insert_outcome_revisions", **key, change_id=change.change_id)
    if adds:
        database.execute(connection, "insert_carried_outcomes", **key, change_id=change.change_id)
    loans = refresh_outcomes(session, change, drop_id, since=revision - 1)
    quarantined = len(impossible.rules)
    counts: dict[str, Any] = {
        "received": landed.received,
        "accepted": landed.received - landed.open - quarantined,
        "repeated": repeated,
        "open": landed.open,
        "quarantined": quarantined,
    }
    database.execute(connection, "update_outcome_drop", **key, **counts)
    if file.is_correction:
        details = {
            "comment": declared.comment,
            "source": location_label(location),
            "sha256": table.sha256,
            "change_id": change.change_id,
            **asdict(loans),
        }
        subject = f"{drop_id} revision {revision}"
        audit.record_entry(session, user, "outcomes.correct", subject, details)
    return TakenOutcomes(
        drop_id,
        revision,
        **counts,
        rules=impossible.counts,
        samples=impossible.samples,
        is_correction=file.is_correction,
        loans=loans,
    )


def _unchanged(session: Session, known: database.Row) -> TakenOutcomes:
    names = ("received", "accepted", "repeated", "open", "quarantined")
    counts: dict[str, Any] = {name: known[name] for name in names}
    key = {"batch_id": known["drop_id"], "revision": known["revision"]}
    broken = database.rows(session.connection, "select_broken_rules", **key)
    return TakenOutcomes(
        known["drop_id"],
        known["revision"],
        **counts,
        rules={row["rule"]: row["rows"] for row in broken},
        is_unchanged=True,
    )


def _is_any_known_now(session: Session, known: database.Row) -> bool:
    """Return whether a loan that was unknown when the revision was ingested is known now."""
    key = {"drop_id": known["drop_id"], "revision": known["revision"]}
    return database.row(session.connection, "select_loan_known_since", **key) is not None


def _refuse_too_many(
    session: Session,
    location: Location,
    landed: LandedRows,
    impossible: ImpossibleRows,
    known: database.Row | None,
) -> None:
    """Refuse a file if too many of its rows with an outcome cannot be true.

    Args:
        session: database session.
        location: the file.
        landed: row counts of the file.
        impossible: the rows that cannot be true.
        known: the revision of the file that it would replace, or None.

    Raises:
        StateError: so many rows are impossible that the file as a whole cannot be trusted.
    """
    limit = session.contract.ingest.max_quarantined_share
    quarantined, closed = len(impossible.rules), landed.received - landed.open
    is_much = quarantined >= FEW_ROWS and quarantined > limit * closed
    # An earlier revision would be replaced by nothing.
    is_all = 0 < quarantined == closed and known is not None and known["accepted"] > 0
    if not is_much and not is_all:
        return
    counts = impossible.counts
    most = ", ".join(f"{rule} {rows}" for rule, rows in [*counts.items()][:3])
    worst = next(iter(counts))
    raise StateError(
        f"{location_label(location)}: {quarantined} of {closed} outcomes broke a rule ({most}); "
        f"the contract allows {limit:.0%}; {remedy(session.contract, worst, impossible)}; "
        "nothing was changed: what was published before stays"
    )
