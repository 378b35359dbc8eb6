"""Withdraw a published batch, for example a misdated one, and restore a withdrawn batch.

Nothing is deleted: rows, scores and measurements stay, and the audit log says who did what and why.
"""

import logging
from dataclasses import dataclass

from loan_scoring import database
from loan_scoring.database.partitions import refuse_dropped
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.known_loans import claim_loans, release_loans

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WithdrawnBatch:
    """The revision that was withdrawn or restored, and its number of applications.

    `scoring_run_id` is the scoring run that readers lost or see again, or None if they saw none.
    """

    batch_id: str
    revision: int
    applications: int
    scoring_run_id: str | None


def withdraw_batch(session: Session, batch_id: str, by: str, comment: str) -> WithdrawnBatch:
    """Take the current revision of a batch out, in one transaction.

    Its loans may then be applications of another batch, readers no longer see its scores, and
    training and monitoring leave the batch out. The same file is not ingested again for this batch
    until `restore_batch`.

    Args:
        session: database session of the role that ingests.
        batch_id: batch to withdraw.
        by: who, such as `cli:USER`.
        comment: why.

    Raises:
        StateError: the batch has no current revision, or the comment is empty.
        GoneError: retention has dropped the batch.
    """
    connection = session.connection
    _refuse_without_comment(comment)
    with database.transaction(connection):
        _lock(session, batch_id)
        refuse_dropped(connection, batch_id)
        known = database.rows(connection, "select_batch_revisions", batch_id=batch_id)
        current = next((row for row in known if row["is_current"]), None)
        if current is None:
            raise StateError(_why_not_current(batch_id, known))
        run = database.row(connection, "select_current_run", batch_id=batch_id)
        key = {"batch_id": batch_id, "revision": current["revision"]}
        release_loans(session, **key)
        database.execute(connection, "resolve_withdrawn_alerts", **key, by=by)
        # Last, because it writes the entry of the audit log, for which other writers wait.
        database.execute(
            connection, "withdraw_batch", batch_id=batch_id, comment=comment, withdrawn_by=by
        )
        done = WithdrawnBatch(
            **key,
            applications=current["accepted"],
            scoring_run_id=run["scoring_run_id"] if run else None,
        )
    log.info("batch %s: revision %s is withdrawn", batch_id, done.revision)
    return done


def restore_batch(session: Session, batch_id: str, by: str, comment: str) -> WithdrawnBatch:
    """Make the last withdrawn revision of a batch current again, in one transaction.

    Readers see the scoring run again that they saw last, if there was one.

    Args:
        session: database session of the role that ingests.
        batch_id: batch to restore.
        by: who, such as `cli:USER`.
        comment: why.

    Raises:
        StateError: no revision is withdrawn, another revision is current, one of the loans is an
            application of another batch by now, or the comment is empty.
        GoneError: retention has dropped the batch.
    """
    connection = session.connection
    _refuse_without_comment(comment)
    with database.transaction(connection):
        _lock(session, batch_id)
        refuse_dropped(connection, batch_id)
        known = database.rows(connection, "select_batch_revisions", batch_id=batch_id)
        current = next((row["revision"] for row in known if row["is_current"]), None)
        if current is not None:
            raise StateError(
                f"revision {current} of batch {batch_id} is current; withdraw it first, "
                "because a batch has one current revision"
            )
        withdrawn = [row for row in known if row["withdrawn_at"]]
        if not withdrawn:
            raise StateError(f"batch {batch_id} is not withdrawn; there is nothing to restore")
        last = max(withdrawn, key=lambda row: row["withdrawn_at"])
        key = {"batch_id": batch_id, "revision": last["revision"]}
        claim_loans(session, **key, replaced=None)
        run = database.row(connection, "restore_batch", **key, comment=comment, restored_by=by)
        assert run is not None  # noqa: S101 - the function always gives one row
        done = WithdrawnBatch(**key, applications=last["accepted"], **run)
    log.info("batch %s: revision %s is current again", batch_id, done.revision)
    return done


def refuse_withdrawn(batch_id: str, known: list[database.Row], sha256: str) -> None:
    """Refuse a file that a person has withdrawn from the batch, and any file for a stream's date.

    Args:
        batch_id: batch of the file.
        known: revisions of the batch.
        sha256: hash of the file.

    Raises:
        StateError: a withdrawn revision of the batch was landed from the same bytes, or the
            applications of the date came by a stream.
    """
    for row in known:
        if row["kind"] == "stream" and not row["withdrawn_at"]:
            raise StateError(
                f"batch {batch_id} came by the stream, so no file is taken for the date; send what "
                "is missing as messages, or seal the day and withdraw it: loan-scoring withdraw "
                f"--batch {batch_id} --comment TEXT"
            )
        if row["withdrawn_at"] and sha256 in (row["sha256"], row["origin_sha256"]):
            raise StateError(
                f"batch {batch_id}: {row['withdrawn_by']} withdrew this very file on "
                f"{row['withdrawn_at']:%Y-%m-%d} (revision {row['revision']}); deliver another "
                f"file, or take it back: loan-scoring withdraw --batch {batch_id} --undo"
            )


def _lock(session: Session, batch_id: str) -> None:
    """Wait until no other process publishes, withdraws or scores the batch.

    The order of the two locks is that of `publish_batch`, because otherwise both could wait for
    each other.
    """
    database.lock(session.connection, f"batch:{batch_id}")
    database.lock(session.connection, "publish")


def _refuse_without_comment(comment: str) -> None:
    if not comment.strip():
        raise StateError("--comment is empty; say why, because the audit log keeps it")


def _why_not_current(batch_id: str, known: list[database.Row]) -> str:
    withdrawn = next((row for row in known if row["withdrawn_at"]), None)
    if withdrawn is not None:
        return (
            f"batch {batch_id} is withdrawn already, by {withdrawn['withdrawn_by']} on "
            f"{withdrawn['withdrawn_at']:%Y-%m-%d %H:%M} UTC; nothing was changed"
        )
    return f"batch {batch_id} has no published revision; there is nothing to withdraw"
