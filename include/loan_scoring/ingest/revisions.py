"""Read the revisions of a batch."""

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError


def read_revision(session: Session, batch_id: str, revision: int) -> database.Row:
    """Return the row of a batch's revision in table `batches`.

    Raises:
        StateError: the batch has no such revision.
    """
    known = database.rows(session.connection, "select_batch_revisions", batch_id=batch_id)
    for row in known:
        if row["revision"] == revision:
            return row
    raise StateError(f"batch {batch_id} has no revision {revision}; ingest the batch first")


def current_revision(session: Session, batch_id: str) -> database.Row:
    """Return the row of a batch's current revision in table `batches`.

    Raises:
        StateError: the batch has no published revision.
    """
    known = database.rows(session.connection, "select_batch_revisions", batch_id=batch_id)
    for row in known:
        if row["is_current"]:
            return row
    raise StateError(f"batch {batch_id} has no published revision; ingest it first")
