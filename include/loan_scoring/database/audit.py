"""Write and verify the audit log, which records who did what and when.

Each entry holds the hash of the entry before it, so that a later change of an entry is found.
"""

import json
import logging
from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChainCheck:
    """Result of verifying the audit log. If `faults` is empty, no entry in the log was changed."""

    entries: int
    """`entry_id` of the newest entry, or 0 if the log is empty."""
    hash: str | None
    """Hash of the newest entry, or None if the log is empty.

    If somebody deleted the newest entries, the chain still looks complete. To find such a deletion,
    compare this hash with the hashes that `record_entry` wrote to the logs of tasks and commands.
    """
    faults: list[database.Row]
    """`entry_id` and `fault` (what is wrong) of each entry at which the chain is broken."""


def record_entry(
    session: Session, user: str, action: str, subject: str, details: dict[str, Any]
) -> int:
    """Append an entry to the audit log in the caller's transaction, and return its `entry_id`.

    Call this last in the transaction, because any other writer of the audit log waits until the
    transaction ends. The entry's hash is also written to the log of the task or command, because
    nobody can change that copy with SQL.

    Args:
        session: session with an open transaction.
        user: who acted, such as `airflow:NAME`. The comment on column `done_by` lists all forms.
        action: action as noun.verb, such as `partition.drop`.
        subject: object of the action, such as a model version or a partition.
        details: further facts. Values that JSON does not know are stored as strings.
    """
    entry = database.row(
        session.connection,
        "insert_audit_entry",
        done_by=user,
        action=action,
        subject=subject,
        details=json.dumps(details, default=str),
    )
    assert entry is not None  # noqa: S101 - INSERT ... RETURNING always gives one row
    log.info(
        "audit %s: %s of %s by %s, %s", entry["entry_id"], action, subject, user, entry["hash"]
    )
    return int(entry["entry_id"])


def verify_chain(session: Session) -> ChainCheck:
    """Compute the hash of every entry again, and return the entries that break the chain.

    The result also has the `entry_id` and the hash of the newest entry.
    """
    with database.transaction(session.connection):
        # Read the last entry first, so that every entry up to `head` is checked. The second
        # statement may see more entries than the first statement, but never fewer.
        head = database.row(session.connection, "select_audit_head")
        faults = database.rows(session.connection, "select_audit_faults")
    if head is None:
        return ChainCheck(0, None, faults)
    return ChainCheck(head["entry_id"], head["hash"], faults)


def recent_entries(
    session: Session, before: int | None = None, limit: int = 50
) -> list[database.Row]:
    """Return at most `limit` entries of the audit log, the newest first.

    With `before`, only entries whose `entry_id` is less than `before` are returned.
    """
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_audit_entries", before=before, limit=limit)
