"""Ingest a batch of applications: land its rows, check the rows, and publish the batch."""

import logging
from dataclasses import dataclass, replace

from loan_scoring import database
from loan_scoring.contract import row_rules_sha256, target_sha256
from loan_scoring.contract.presence import allowed_by, split_columns_of_file
from loan_scoring.counted import counted, named
from loan_scoring.database.audit import acting
from loan_scoring.database.partitions import HISTORY, ensure_partition
from loan_scoring.database.session import Session
from loan_scoring.errors import SourceError, StateError
from loan_scoring.ingest.copying import copy_table
from loan_scoring.ingest.file_lines import record_files
from loan_scoring.ingest.files.locations import Location, location_label
from loan_scoring.ingest.known_loans import claim_loans
from loan_scoring.ingest.landing import source_label
from loan_scoring.ingest.manifests import CheckedRows, EmptyDelivery, open_delivery
from loan_scoring.ingest.outcomes import take_outcomes_within
from loan_scoring.ingest.quality.check import check_quality, refuse_declared_volume
from loan_scoring.ingest.quarantine import broken_rules
from loan_scoring.ingest.revisions import read_revision
from loan_scoring.ingest.taken_outcomes import TakenOutcomes, log_taken
from loan_scoring.ingest.withdrawal import refuse_withdrawn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LandedBatch:
    """The revision in which a file was landed, with its row counts.

    `is_unchanged` is True if the file has no new content. Then no revision was landed, and the
    fields describe the current revision. `outcomes` is what the labels of `history` brought, and
    None for other batches.
    """

    batch_id: str
    revision: int
    received: int
    accepted: int
    quarantined: int
    is_unchanged: bool = False
    outcomes: TakenOutcomes | None = None


def land_batch(session: Session, batch_id: str, location: Location) -> LandedBatch:
    """Copy the rows of one file, or of several, into an unpublished revision of a batch.

    Accepted rows are copied into table `applications`, the others into table `quarantine`.

    All rows are copied in one transaction, so a failure or a kill leaves no rows behind.

    Nothing changes if the current revision was landed from the same bytes with the same row rules,
    or if the current revision is a correction of rows that were landed from the same bytes. In
    `history`, the target must be the same too, because its outcomes are read by the target. If an
    unpublished revision has the same bytes, its rows are deleted and landed again.

    Raises:
        PassingSourceError: the file is not the one that its manifest describes.
        SourceError: the file cannot be read, lacks a column of the contract, or has no rows and is
            not declared empty.
        StateError: a person has withdrawn this very file from the batch.
    """
    contract, connection = session.contract, session.connection
    wanted, optional = split_columns_of_file(contract, batch_id)
    opened, manifests = open_delivery(contract, location, wanted, optional)
    with opened as table:
        ensure_partition(connection, "applications", batch_id)
        with database.transaction(connection):
            database.lock(connection, f"batch:{batch_id}")
            known = database.rows(connection, "select_batch_revisions", batch_id=batch_id)
            refuse_withdrawn(batch_id, known, table.sha256)
            current = next((row for row in known if row["is_current"]), None)
            rules = {
                "rules_sha256": row_rules_sha256(contract),
                "target_sha256": target_sha256(contract) * (batch_id == HISTORY),
            }
            if current is not None and _is_unchanged(current, table.sha256, rules):
                log.info(
                    "batch %s: unchanged, revision %s has the same bytes",
                    batch_id,
                    current["revision"],
                )
                counts = {name: current[name] for name in ("received", "accepted", "quarantined")}
                return LandedBatch(batch_id, current["revision"], **counts, is_unchanged=True)
            if current is not None and current["corrects_revision"] is not None:
                log.warning(
                    "batch %s: %s replaces revision %s, whose rows were corrected by hand",
                    batch_id,
                    location_label(location),
                    current["revision"],
                )
            refuse_declared_volume(session, batch_id, table.declared_rows)
            revision = open_revision(known, table.sha256)
            key = {"batch_id": batch_id, "revision": revision}
            database.execute(connection, "delete_landed_rows", **key)
            rows = CheckedRows(contract, table, manifests)
            accepted, quarantined = copy_table(session, rows, batch_id, revision)
            rows.check()
            if accepted + quarantined == 0 and not isinstance(table, EmptyDelivery):
                raise SourceError(
                    f"{location_label(location)}: the file has no row below the header; "
                    "deliver it again"
                )
            database.execute(
                connection,
                "upsert_landed_batch",
                **key,
                source=source_label(location),
                sha256=table.sha256,
                received=accepted + quarantined,
                accepted=accepted,
                quarantined=quarantined,
                ignored_columns=table.header.extra,
                header=list(table.raw_columns),
                delimiter=table.delimiter,
                corrects_revision=None,
                origin_sha256=None,
                **rules,
            )
            record_files(session, batch_id, revision, table)
            database.execute(
                connection,
                "insert_contract",
                batch_id=batch_id,
                contract=contract.model_dump_json(),
            )
    if table.header.extra:
        log.warning(
            "batch %s: ignored %s; table batches names what is not in the contract",
            batch_id,
            counted(len(table.header.extra), "column"),
        )
    if table.header.missing:
        log.warning(
            "batch %s: lacks columns, as the contract allows (%s); they are null: %s",
            batch_id,
            " or ".join(allowed_by(contract, table.header.missing)),
            named(table.header.missing),
        )
    return LandedBatch(batch_id, revision, accepted + quarantined, accepted, quarantined)


def _is_unchanged(current: database.Row, sha256: str, rules: dict[str, str]) -> bool:
    """Return whether a file, read by these rules, would give what the current revision contains.

    Corrections by hand are kept under other row rules, but not under another target, because then
    all outcomes of `history` are wrong.

    Args:
        current: the batch's current revision, as a row of table `batches`.
        sha256: hash of the file.
        rules: the columns of the row that say by which rules a file was read.
    """
    if sha256 == current["origin_sha256"]:
        return current["target_sha256"] in ("", rules["target_sha256"])
    return sha256 == current["sha256"] and all(current[name] == rules[name] for name in rules)


def open_revision(known: list[database.Row], sha256: str) -> int:
    """Return the revision number under which to land a file.

    If an unpublished revision with the same bytes is newer than the current revision, return the
    number of this unpublished revision. Otherwise return the number of a new revision. An
    unpublished revision with other bytes is not reused, because another process may be about to
    publish this revision.

    Args:
        known: the revisions of the batch, newest first.
        sha256: hash of the file.
    """
    for row in known:
        if row["is_current"]:
            break
        if row["state"] != "published" and row["sha256"] == sha256:
            return int(row["revision"])
    return int(known[0]["revision"]) + 1 if known else 1


def check_batch(session: Session, batch_id: str, revision: int) -> None:
    """Check a landed revision, and refuse the revision if the check fails.

    A published revision is not checked again. The applications and quarantined rows of a refused
    revision are deleted. Its row in table `batches`, its verdicts and its alerts are kept.

    Raises:
        SourceError: the revision was refused, now or earlier. Either the share of quarantined rows
            is above the contract's limit, or a critical expectation failed.
    """
    with database.transaction(session.connection):
        database.lock(session.connection, f"batch:{batch_id}")
        batch = read_revision(session, batch_id, revision)
        if batch["state"] == "published":
            return
        # A refused revision cannot be checked again, because its rows are deleted.
        if batch["state"] == "refused":
            raise SourceError(
                f"batch {batch_id} revision {revision} was refused (the reason is in the table "
                "quality and in the task's log); correct the file or the contract, "
                "then land it again (in Airflow: clear `land`)"
            )
        if batch["received"] == 0:  # the date is declared empty, so there is nothing to check
            passed = {"batch_id": batch_id, "revision": revision, "subjects": []}
            database.execute(session.connection, "resolve_quality_alerts", **passed)
            return
        failed = check_quality(session, batch, batch_id)
        if not failed:
            return
        more = f" (and {len(failed) - 3} more, see table quality)" if len(failed) > 3 else ""
        reason = f"{batch['source']}: {'; '.join(failed[:3])}{more}"
        key = {"batch_id": batch_id, "revision": revision}
        database.execute(session.connection, "delete_landed_rows", **key)
        database.execute(session.connection, "refuse_batch", **key)
    raise SourceError(
        f"batch {batch_id} refused: {reason}; "
        "correct the file or the contract, then ingest it again"
    )


def publish_batch(
    session: Session, batch_id: str, revision: int, location: Location, by: str | None = None
) -> TakenOutcomes | None:
    """Publish a checked revision and make it the batch's current revision, in one transaction.

    Older revisions are kept. Readers no longer see scores of an older revision. If a newer revision
    is already current, the revision is published but does not become current. If the batch is
    `history` and the revision becomes current, the labels in its file are ingested as outcomes in
    the same transaction. Return what the labels brought, or None if none were ingested.

    Args:
        session: database session of the role that ingests.
        batch_id: batch of the revision.
        revision: number of the revision.
        location: file that was landed as this revision. Only the history is read again from it.
        by: who, such as `cli:USER`. None means the role of the session.

    Raises:
        StateError: there is no such revision, the revision was refused or its file withdrawn, or
            one of its loans has become an application of another batch since the file landed.
        SourceError: the file of the history has changed since it landed.
    """
    contract, connection = session.contract, session.connection
    key = {"batch_id": batch_id, "revision": revision}
    outcomes = None
    with database.transaction(connection):
        database.lock(connection, f"batch:{batch_id}")
        # Publish one batch at a time, because otherwise two batches with the same loan could both
        # be published.
        database.lock(connection, "publish")
        batch = read_revision(session, batch_id, revision)
        if batch["state"] == "published":
            return None
        if batch["state"] == "refused":
            raise StateError(
                f"batch {batch_id} revision {revision} was refused; ingest a corrected file"
            )
        known = database.rows(connection, "select_batch_revisions", batch_id=batch_id)
        refuse_withdrawn(batch_id, known, batch["origin_sha256"] or batch["sha256"])
        current = database.row(connection, "select_current_batch", batch_id=batch_id)
        is_current = current is None or current["revision"] < revision
        if is_current:
            old = current["revision"] if current else None
            claim_loans(session, batch_id, revision, replaced=old)
        database.execute(connection, "publish_batch", **key, published_by=acting(session, by))
        if is_current and batch_id == HISTORY:
            corrects = batch["corrects_revision"] is not None
            outcomes = take_outcomes_within(session, location, batch["sha256"], adds=corrects)
    if batch["quarantined"]:
        log.info("batch %s: in quarantine: %s", batch_id, broken_rules(session, batch_id, revision))
    if outcomes is not None:
        log_taken(contract, outcomes)
    state = "current" if is_current else "published but not current: a newer one is"
    level = logging.INFO if is_current else logging.WARNING
    log.log(level, "batch %s: revision %s is %s", batch_id, revision, state)
    return outcomes


def ingest_batch(
    session: Session, batch_id: str, location: Location, by: str | None = None
) -> LandedBatch:
    """Land a file as a batch, check the batch and publish it. Skip an unchanged file."""
    landed = land_batch(session, batch_id, location)
    if not landed.is_unchanged:
        check_batch(session, batch_id, landed.revision)
        outcomes = publish_batch(session, batch_id, landed.revision, location, by)
        landed = replace(landed, outcomes=outcomes)
    return landed
