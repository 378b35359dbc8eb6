"""Ingest a file of outcomes, and check the outcomes against known loans and known outcomes."""

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loan_scoring import database
from loan_scoring.contract import KEY, outcome_rules_sha256
from loan_scoring.database import audit
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.file_lines import record_files
from loan_scoring.ingest.files.locations import Location, location_label
from loan_scoring.ingest.files.table import open_table
from loan_scoring.ingest.keys import key_columns
from loan_scoring.ingest.manifests import CheckedRows, read_manifests
from loan_scoring.ingest.outcome_changes import ChangedLoans, record_change, refresh_outcomes
from loan_scoring.ingest.outcome_files import PREFIX, OutcomeFile, outcome_file
from loan_scoring.ingest.outcome_rows import OBSERVED_ON, parse_outcomes
from loan_scoring.ingest.outcome_withdrawal import refuse_withdrawn_file

log = logging.getLogger(__name__)

FEW_ROWS = 10
"""A file of outcomes is refused only if at least this many rows break a rule.

A file may have only one or two late outcomes, so that a single broken row would exceed the limit on
the share of quarantined rows.
"""


@dataclass(frozen=True)
class TakenOutcomes:
    """The revision in which a file of outcomes was ingested, with its row counts.

    `drop_id` identifies the file by its name. `is_unchanged` is True if the file has no new
    content. Then no revision was added, and the fields describe the earlier revision.

    `loans` counts the loans whose row in table `outcomes` the file changed.
    """

    drop_id: str
    revision: int
    received: int
    accepted: int
    quarantined: int
    is_unchanged: bool = False
    is_correction: bool = False
    loans: ChangedLoans = field(default_factory=ChangedLoans)


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

    A row goes to quarantine in each of these cases:

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
        key = {"batch_id": taken.drop_id, "revision": taken.revision}
        broken = database.rows(session.connection, "select_broken_rules", **key)
    limits = session.contract.ingest.quarantine
    many = max(limits.few_rows, limits.min_share * taken.received)
    for row in broken:
        if row["rule"] == f"unknown_loan:{KEY}":
            log.warning(
                "%s: %s outcomes of unknown loans are in quarantine; "
                "ingest the batch of these loans, then this file again",
                taken.drop_id,
                row["rows"],
            )
        elif row["rows"] > many:
            log.warning(
                "%s: %s of %s outcomes broke the rule %s and are in quarantine; "
                "correct the file and take it in again",
                taken.drop_id,
                row["rows"],
                taken.received,
                row["rule"],
            )
    if taken.loans.removed or taken.loans.changed:
        log.warning("%s revision %s: %s", taken.drop_id, taken.revision, taken.loans.sentence)
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
    if sha256 is not None or isinstance(location, tuple):
        # So that each file of `history` replaces the one before.
        file = OutcomeFile(f"{PREFIX}{HISTORY}", False)
    else:
        file = outcome_file(location, declared.is_correction)
    drop_id = file.drop_id
    is_delivered = sha256 is not None and not adds
    keys = contract.key.sources if is_delivered else key_columns(contract.key)
    with open_table(
        location,
        [*keys, contract.target.source],
        file_format=contract.source.corrected if adds else contract.source,
        optional=[OBSERVED_ON],
    ) as table:
        if sha256 is not None and sha256 != table.sha256:
            raise SourceError(
                f"{location_label(location)}: the file changed since it landed; ingest it again"
            )
        # Ingest one file at a time, because otherwise two files with contradicting outcomes of
        # a loan could both pass the check.
        database.lock(connection, "outcomes")
        refuse_withdrawn_file(session, location, drop_id, None if adds else table.sha256)
        known = database.row(connection, "select_outcome_drop", drop_id=drop_id)
        same = known if known and known["sha256"] == table.sha256 and sha256 is None else None
        rules = outcome_rules_sha256(contract)
        if same and same["rules_sha256"] != rules:
            same = None
        if same and not same["has_unknown_loans"]:
            return _unchanged(same)
        received = 0
        database.execute(connection, "create_landed_outcomes")
        manifests = []
        if sha256 is None:
            manifests = read_manifests(contract, location, with_totals=False)
        checked = CheckedRows(contract, table, manifests)
        for rows in read_ahead(parse_outcomes(contract, checked)):
            database.copy_in(connection, "landed_outcomes", rows.column_names, rows)
            received += rows.num_rows
        checked.check()
        if same and not _is_any_known_now(session, same):
            return _unchanged(same)
        revision = known["revision"] + 1 if known is not None else 1
        key = {"drop_id": drop_id, "revision": revision}
        database.execute(
            connection,
            "insert_outcome_drop",
            **key,
            source=location_label(location),
            sha256=table.sha256,
            rules_sha256=rules,
        )
        record_files(session, drop_id, revision, table)
    quarantined = database.execute(
        connection, "quarantine_landed_outcomes", **key, is_correction=file.is_correction
    )
    limit = contract.ingest.max_quarantined_share
    is_much = quarantined >= FEW_ROWS and quarantined > limit * received
    # An earlier revision would be replaced by nothing.
    is_all = 0 < quarantined == received and known is not None and known["accepted"] > 0
    if is_much or is_all:
        raise StateError(
            f"{location_label(location)}: {quarantined} of {received} outcomes broke a rule "
            f"{_rules_and_remedy(session, drop_id, revision)}"
        )
    user = declared.user or f"role:{connection.info.user}"
    change = record_change(
        session,
        "corrected" if file.is_correction else "taken",
        drop_id,
        revision,
        user if file.is_correction else None,
        declared.comment,
    )
    database.execute(connection, "insert_outcome_revisions", **key, change_id=change.change_id)
    if adds:
        database.execute(connection, "insert_carried_outcomes", **key, change_id=change.change_id)
    loans = refresh_outcomes(session, change, drop_id, since=revision - 1)
    accepted = received - quarantined
    counts = {"received": received, "accepted": accepted, "quarantined": quarantined}
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
        received,
        accepted,
        quarantined,
        is_correction=file.is_correction,
        loans=loans,
    )


def _unchanged(known: database.Row) -> TakenOutcomes:
    log.info("%s: unchanged, revision %s has the same bytes", known["drop_id"], known["revision"])
    counts = {name: known[name] for name in ("received", "accepted", "quarantined")}
    return TakenOutcomes(known["drop_id"], known["revision"], **counts, is_unchanged=True)


def _is_any_known_now(session: Session, known: database.Row) -> bool:
    """Return whether a loan that was unknown when the revision was ingested is known now."""
    key = {"drop_id": known["drop_id"], "revision": known["revision"]}
    return database.row(session.connection, "select_loan_known_since", **key) is not None


def _rules_and_remedy(session: Session, drop_id: str, revision: int) -> str:
    """Return, for the error message, the rules broken most often and what the user can do."""
    connection, target = session.connection, session.contract.target
    key = {"batch_id": drop_id, "revision": revision}
    broken = database.rows(connection, "select_broken_rules", **key)
    most = ", ".join(f"{row['rule']} {row['rows']}" for row in broken[:3])
    remedies = {
        "unknown_loan": "ingest the batches of these loans first",
        "unknown_level": f"target.positive is {target.positive}, target.negative "
        f"{target.negative}: correct the contract or the file",
    }
    remedy = remedies.get(broken[0]["rule"].partition(":")[0], "correct the file")
    return (
        f"({most}); the contract allows "
        f"{session.contract.ingest.max_quarantined_share:.0%}; nothing was changed; {remedy}"
    )
