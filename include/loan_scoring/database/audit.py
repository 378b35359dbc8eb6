"""The audit log: who did what, when, in a chain of hashes that shows what was changed later."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChainCheck:
    """What the log says of itself; without faults it is as it was written, up to its head."""

    entries: int
    """Number of the last entry; 0 of an empty log."""
    hash: str | None
    """Its hash. That entries after it were removed shows only to one who noted a later one."""
    faults: list[database.Row]
    """entry_id and fault of each entry that is not what was written."""


def record_entry(
    session: Session, user: str, action: str, subject: str, details: dict[str, Any]
) -> int:
    """Append an entry in the caller's transaction, as its last act, and return its number.

    A second writer waits until that transaction has ended. The log line carries the hash out of
    the database: an anchor that is not the database's to change.

    Args:
        session: of the application's role.
        user: as `airflow:NAME`, see the table's comment.
        action: as noun.verb.
        subject: what it was done to.
        details: fit for JSON.
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
    """Work every hash out anew and return where the chain does not hold."""
    with database.transaction(session.connection):
        # One statement after the other sees more entries, never fewer: the head comes first.
        head = database.row(session.connection, "select_audit_head")
        faults = database.rows(session.connection, "select_audit_faults")
    if head is None:
        return ChainCheck(0, None, faults)
    return ChainCheck(head["entry_id"], head["hash"], faults)


def recent_entries(
    session: Session, before: int | None = None, limit: int = 50
) -> list[database.Row]:
    """Return entries before a number, the latest first."""
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_audit_entries", before=before, limit=limit)
