"""Write and verify the audit log: who did what, when. A chain of hashes shows later changes."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChainCheck:
    """Result of verifying the log. Without faults no entry up to the last was changed."""

    entries: int
    """Number of the last entry; 0 if the log is empty."""
    hash: str | None
    """Hash of the last entry. Removed last entries show only against a hash in a log."""
    faults: list[database.Row]
    """entry_id and fault of each entry that was changed."""


def record_entry(
    session: Session, user: str, action: str, subject: str, details: dict[str, Any]
) -> int:
    """Append an entry in the caller's transaction, as its last statement; return its number.

    A second writer waits until that transaction has ended. The hash is logged, so that a copy of it
    exists where nobody can change it by SQL.

    Args:
        session: of the application's role.
        user: such as `airflow:NAME`; the table's comment lists the forms.
        action: noun.verb, such as `partition.drop`.
        subject: the object of the action.
        details: serialisable as JSON.
    """
    entry = database.row(
        session.connection,
        "insert_audit_entry",
        done_by=user,
        action=action,
        subject=subject,
        details=json.dumps(details, default=str),
    )
    assert entry is not None  # noqa: S101 - INSERT ... RETURNING gives its row
    log.info(
        "audit %s: %s of %s by %s, %s", entry["entry_id"], action, subject, user, entry["hash"]
    )
    return int(entry["entry_id"])


def verify_chain(session: Session) -> ChainCheck:
    """Compute every hash again and return the entries where the chain is broken."""
    with database.transaction(session.connection):
        # A later statement may see more entries, so the head is read first.
        head = database.row(session.connection, "select_audit_head")
        faults = database.rows(session.connection, "select_audit_faults")
    if head is None:
        return ChainCheck(0, None, faults)
    return ChainCheck(head["entry_id"], head["hash"], faults)


def recent_entries(
    session: Session, before: int | None = None, limit: int = 50
) -> list[database.Row]:
    """Return at most `limit` entries before number `before`, the latest first."""
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_audit_entries", before=before, limit=limit)
