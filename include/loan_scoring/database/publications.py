"""Record in table `publications` which scores of a batch readers see from when on."""

from typing import Literal

from loan_scoring import database
from loan_scoring.database.session import Session

Occasion = Literal["scoring", "revision", "withdrawal", "restoration", "command"]
"""Why readers see other scores. The comment on column `occasion` explains each value."""


def record_publication(
    session: Session, batch_id: str, run_id: str | None, occasion: Occasion, by: str | None
) -> None:
    """Record within the caller's transaction that readers see another scoring run of a batch.

    The caller holds the lock on the batch, so that the rows of a batch are in the order of time.

    Args:
        session: session with an open transaction.
        batch_id: batch whose readers see other scores.
        run_id: scoring run that readers see from now on, or None if they see no scores.
        occasion: why.
        by: who, such as `cli:USER`. None means the role of the session.
    """
    database.execute(
        session.connection,
        "insert_publication",
        batch_id=batch_id,
        scoring_run_id=run_id,
        occasion=occasion,
        published_by=by or f"role:{session.connection.info.user}",
    )


def hide_scores(session: Session, batch_id: str, occasion: Occasion, by: str | None) -> None:
    """Take a batch's scores from the readers within the caller's transaction, if it has any."""
    if database.execute(session.connection, "update_runs_outdated", batch_id=batch_id):
        record_publication(session, batch_id, None, occasion, by)
