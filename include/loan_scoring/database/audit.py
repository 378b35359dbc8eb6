"""Write and verify the audit log, which records who did what and when.

Each entry holds the hash of the entry before it, so that a later change of an entry is found.
"""

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError

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
    records: list[database.Row] = field(default_factory=list)
    """`kind`, `record_id` and `fault` of each approval, promotion or publication that differs.

    They differ from the entries that the functions of the owner wrote with them.
    """

    @property
    def sentences(self) -> list[str]:
        """One sentence for each fault of the chain and of the records."""
        return [f"entry {each['entry_id']}: {each['fault']}" for each in self.faults] + [
            f"{each['kind']} {each['record_id']}: {each['fault']}" for each in self.records
        ]


def acting(session: Session, by: str | None) -> str:
    """Return who acts: `by`, such as `cli:USER`, or if that is None the role of the session."""
    return by or f"role:{session.connection.info.user}"


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
        "record_audit_entry",
        done_by=user,
        action=action,
        subject=subject,
        details=json.dumps(details, default=str),
    )
    assert entry is not None  # noqa: S101 - the function always gives one row
    log.info(
        "audit %s: %s of %s by %s, %s", entry["entry_id"], action, subject, user, entry["hash"]
    )
    return int(entry["entry_id"])


def verify_chain(session: Session) -> ChainCheck:
    """Compute the hash of every entry again, and return the entries that break the chain.

    The result also has the `entry_id` and the hash of the newest entry, and the approvals,
    promotions and publications that differ from what the entries say.
    """
    with database.transaction(session.connection):
        # Read the last entry first, so that every entry up to `head` is checked. The second
        # statement may see more entries than the first statement, but never fewer.
        head = database.row(session.connection, "select_audit_head")
        faults = database.rows(session.connection, "select_audit_faults")
        records = database.rows(session.connection, "select_record_faults")
    if head is None:
        return ChainCheck(0, None, faults, records)
    return ChainCheck(head["entry_id"], head["hash"], faults, records)


def expect_entry(session: Session, hash_: str) -> int:
    """Return the `entry_id` of the entry whose hash was the head of the chain at some time.

    Raises:
        StateError: no entry has the hash, so entries were removed or written anew since then.
    """
    with database.transaction(session.connection):
        found = database.row(session.connection, "select_audit_entry", hash=hash_)
    if found is None:
        raise StateError(
            f"the audit log of {session.contract.portfolio} has no entry with the hash {hash_}: "
            "entries were removed or written anew since it was the head; compare with a backup"
        )
    return int(found["entry_id"])


def write_anchor(session: Session, path: Path, checked: ChainCheck) -> None:
    """Append the head of a verified chain to a file, after its last line was found in the chain.

    The file must stand where neither the application nor the owner of the database can write, so
    that whoever writes the whole chain anew cannot change it too.

    Args:
        session: session on the portfolio.
        path: file of the portfolio, one line a head: time, `entry_id`, hash. Made if missing.
        checked: a chain without faults.

    Raises:
        StateError: the last head of the file is not in the chain, or the file cannot be written.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), None)
        if last is not None:
            expect_entry(session, last.split()[-1])
        if checked.hash is not None and (last is None or last.split()[-1] != checked.hash):
            with path.open("a", encoding="utf-8") as file:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                file.write(f"{now} {checked.entries} {checked.hash}\n")
    except OSError as error:
        raise StateError(
            f"the anchor {path} cannot be read and written: {error.strerror}; name a file that "
            "this account may append to"
        ) from error


def recent_entries(
    session: Session, before: int | None = None, limit: int = 50
) -> list[database.Row]:
    """Return at most `limit` entries of the audit log, the newest first.

    With `before`, only entries whose `entry_id` is less than `before` are returned.
    """
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_audit_entries", before=before, limit=limit)
