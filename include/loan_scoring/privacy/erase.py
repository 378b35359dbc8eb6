"""Erase one loan: from the files first, then from the database, and note that it was done.

Each step can be repeated. So if the process is killed, the same command continues the erasure
(docs/adr/0053).
"""

import logging
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql

from loan_scoring import database, settings
from loan_scoring.database import audit
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError, DatabaseError, StateError
from loan_scoring.privacy.delivered import lookups_by_loan
from loan_scoring.privacy.held import export_loan, quarantined_rows, rows_by_key, text_columns
from loan_scoring.privacy.naming import naming_pattern, new_pseudonym, without_loan
from loan_scoring.privacy.rewriting import one_at_a_time, rewrite_files, update_hashes

log = logging.getLogger(__name__)

DELETED = ("desk_queue", "loans", "outcomes", "outcome_revisions", "scans")
"""Tables whose rows of the loan go; in all others, the loan becomes the pseudonym.

The corrections of a scanned page go with its row.
"""
SPECIAL = ("applications", "mini_batches")
"""Tables with a statement of their own."""
LOCK_SECONDS = 30
"""Maximum time to wait for a table that is in use."""


@dataclass(frozen=True)
class Erasure:
    """What an erasure did: pseudonym, files, and backups that still hold the loan."""

    erasure_id: str
    pseudonym: str
    files: list[database.Row]
    not_read: dict[str, str]
    sources_elsewhere: list[database.Row]
    backups: list[database.Row]


def erase_loan(session: Session, key: Any, reason: str, by: str) -> Erasure:
    """Erase a loan from database and files, and return what was done.

    Scores and decisions are kept under a random pseudonym, because a lender must be able to account
    for them. Everything else goes. Figures that were computed stay.

    Args:
        session: session of the role that owns the schema.
        key: the loan, as the contract types its key.
        reason: why, in the words of the person. If it names the loan, it gets the pseudonym.
        by: the user, in the form `cli:USER`.

    Raises:
        MissingError: nothing is held on the loan.
        StateError: the reason is empty.
        BusyError: a table stayed in use, or another erasure runs.
        DatabaseError: the role does not own the tables.
    """
    if not reason.strip():
        raise StateError("an erasure needs a reason; nothing was erased")
    with one_at_a_time():
        return _erase(session, key, reason, by)


def _erase(session: Session, key: Any, reason: str, by: str) -> Erasure:
    begun = _begin(session, key, reason, by)
    if begun["applied_at"] is None:
        not_read, elsewhere = rewrite_files(session, key, begun)
        try:
            _erase_rows(session, key, begun)
        except psycopg2.errors.LockNotAvailable:
            raise BusyError(
                f"a table was in use for {LOCK_SECONDS} s, so the erasure is not complete; run it "
                "again when the night's work is done"
            ) from None
        except psycopg2.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"the role {session.connection.info.user} does not own the tables; set "
                "LOAN_SCORING_OWNER_URL to the owner's URL"
            ) from error
    else:
        not_read, elsewhere = {}, []
    return _finish(session, begun, not_read, elsewhere)


def _begin(session: Session, key: Any, reason: str, by: str) -> database.Row:
    """Return the open erasure of a loan, which is begun if there is none."""
    with database.transaction(session.connection):
        begun = database.row(session.connection, "select_open_erasure", loan_id=str(key))
    if begun is not None:
        log.info("continue the erasure that %s began", begun["erased_by"])
        return begun
    export_loan(session, key)  # raises an error if there is nothing to erase
    pseudonym = new_pseudonym(session.contract)
    reason = without_loan(reason.strip(), key, pseudonym)
    with database.transaction(session.connection):
        database.lock(session.connection, f"erasure:{key}")
        found = database.row(session.connection, "select_open_erasure", loan_id=str(key))
        if found is None:
            values = {"pseudonym": pseudonym, "reason": reason, "erased_by": by}
            database.execute(session.connection, "insert_erasure", loan_id=str(key), **values)
            found = database.row(session.connection, "select_open_erasure", loan_id=str(key))
    assert found is not None  # noqa: S101 - just inserted
    return found


def _erase_rows(session: Session, key: Any, begun: database.Row) -> None:
    """Erase the loan from every table, in one transaction with the entry in the audit log."""
    connection, pseudonym = session.connection, begun["pseudonym"]
    values = {"loan_id": key, "pseudonym": pseudonym}
    pattern = {"pattern": naming_pattern(key), "replacement": rf"\1{pseudonym}"}
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        database.lock(connection, "publish")
        again = database.row(connection, "select_open_erasure", loan_id=str(key))
        if again is None or again["applied_at"] is not None:
            return  # another process was faster
        # The seal below covers all records as they are then. So what was wrong before is kept.
        faults = database.rows(connection, "select_record_faults")
        triggers = database.rows(connection, "select_append_only")
        _switch(session, triggers, "DISABLE")
        counts = {"quarantine": 0}
        for row in quarantined_rows(session, key):
            place = {name: row[name] for name in ("batch_id", "revision", "line_number")}
            database.execute(connection, "erase_quarantine", **place)
            counts["quarantine"] += 1
        counts["calls"] = len(database.rows(connection, "select_calls_of_loan", text=str(key)))
        database.execute(connection, "erase_calls", text=str(key))
        database.execute(connection, "erase_bounds", **values)
        counts["applications"] = len(rows_by_key(session, key)["applications"])
        database.execute(connection, "erase_applications", loan_id=key)
        database.execute(connection, "erase_repeats", loan_id=key)
        database.execute(connection, "erase_approval_comments", loan_id=key)
        counts |= _erase_by_key(session, key, pseudonym)
        _replace_names(session, pattern)
        _erase_from_lookups(session, key)
        update_hashes(session, begun)
        redacted = database.rows(connection, "erase_audit_entries", **pattern)
        _switch(session, triggers, "ENABLE")
        database.execute(connection, "update_erasure_applied", erasure_id=begun["erasure_id"])
        details = {
            "pseudonym": pseudonym,
            "reason": begun["reason"],
            "rows": {name: rows for name, rows in counts.items() if rows},
            "redacted": {str(each["entry_id"]): each["hash"] for each in redacted},
            "faults_before": faults,
        }
        subject = f"erasure {begun['erasure_id']}"
        audit.record_entry(session, begun["erased_by"], "loan.erase", subject, details)
        database.execute(connection, "seal_records", by=begun["erased_by"])


def _switch(session: Session, triggers: list[database.Row], what: str) -> None:
    """Disable or enable the triggers that keep rows from being changed, in this transaction."""
    with session.connection.cursor() as cursor:
        for each in triggers:
            cursor.execute(
                sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
                    sql.Identifier(each["table"]), sql.SQL(what), sql.Identifier(each["trigger"])
                )
            )


def _erase_by_key(session: Session, key: Any, pseudonym: str) -> dict[str, int]:
    """Delete the rows of a loan, or replace the loan by its pseudonym. Return the rows by table."""
    counts = {}
    with session.connection.cursor() as cursor:
        for each in database.rows(session.connection, "select_loan_columns"):
            table, column = sql.Identifier(each["table"]), sql.Identifier(each["column"])
            if each["table"] in SPECIAL:
                continue
            if each["table"] in DELETED:
                query = sql.SQL("DELETE FROM {} WHERE {} = %(key)s::loan_key").format(table, column)
            else:
                query = sql.SQL(
                    "UPDATE {} SET {} = %(pseudonym)s::loan_key WHERE {} = %(key)s::loan_key"
                ).format(table, column, column)
            cursor.execute(query, {"key": key, "pseudonym": pseudonym})
            counts[each["table"]] = cursor.rowcount
    return counts


def _replace_names(session: Session, pattern: dict[str, str]) -> None:
    """Replace the loan in messages, comments and evidence."""
    with session.connection.cursor() as cursor:
        for table, columns in text_columns(session).items():
            for name, type_ in columns.items():
                cursor.execute(
                    sql.SQL(
                        "UPDATE {table} SET {column} = regexp_replace({column}::text,"
                        " %(pattern)s, %(replacement)s, 'gi')::{type}"
                        " WHERE {column}::text ~* %(pattern)s"
                    ).format(
                        table=sql.Identifier(table),
                        column=sql.Identifier(name),
                        type=sql.SQL(type_),
                    ),
                    pattern,
                )


def _erase_from_lookups(session: Session, key: Any) -> None:
    """Delete the rows of look-ups whose key is the loan's."""
    names = [each.name for each in lookups_by_loan(session.contract).values()]
    with session.connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM lookup_rows WHERE lookup = ANY (%s) AND key = %s", (names, str(key))
        )


def _finish(
    session: Session,
    begun: database.Row,
    not_read: dict[str, str],
    elsewhere: list[database.Row],
) -> Erasure:
    """Remove the samples that no model names any more, and close the erasure."""
    with database.transaction(session.connection):
        values = {"erasure_id": begun["erasure_id"]}
        files = database.rows(session.connection, "select_erased_files", **values)
        backups = database.rows(session.connection, "select_backups")
    for row in files:
        path = settings.data_dir() / row["path"]
        if path.name.startswith("baseline-"):
            path.unlink(missing_ok=True)
    with database.transaction(session.connection):
        database.execute(session.connection, "update_erasure_finished", **values)
    return Erasure(begun["erasure_id"], begun["pseudonym"], files, not_read, elsewhere, backups)
