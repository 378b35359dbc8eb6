"""Drop expired months of tables `applications`, `scores` and `calls`, and record each drop.

Retention keeps the tables that an auditor needs: batches, outcomes and their revisions, models,
promotions, approvals, drift, performance and the audit log (docs/adr/0023).
"""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import psycopg2
from psycopg2 import sql
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from loan_scoring import database
from loan_scoring.contract import MOST_KEEP_DAYS
from loan_scoring.database import audit
from loan_scoring.database.cohorts import read_cohorts
from loan_scoring.database.lake import export_month
from loan_scoring.database.partitions import HISTORY, partition_bounds
from loan_scoring.database.session import Session
from loan_scoring.errors import BusyError, DatabaseError, StateError

log = logging.getLogger(__name__)

MOST_DAYS_AHEAD = 62
"""Most days that the clock may be ahead of the newest batch.

A clock that jumped months ahead would drop months too early, and a drop cannot be undone.
"""

LOCK_MILLISECONDS = 1000
"""Maximum time that one try waits for a lock.

The limit is short because new queries on the table must wait behind a try that waits.
"""

PAUSE_SECONDS = 2.0
"""Pause between two tries for a lock."""


@dataclass(frozen=True)
class ExpiredMonth:
    """A partition that is old enough to be dropped.

    `rows` and `quarantined` are 0 until the rows have been counted. `quarantined` is the number of
    rows of table `quarantine` that are deleted with a partition of `applications`.
    """

    partition: str
    table: str
    month: str
    bytes: int
    rows: int = 0
    quarantined: int = 0
    kept_for: str | None = None
    """Reason why the expired partition is kept. None if the partition is to be dropped."""


def expired_months(
    session: Session, keep_days: int, today: date | None = None
) -> list[ExpiredMonth]:
    """Return the partitions whose last day is more than `keep_days` days ago, the oldest first.

    The result includes partitions that are kept because of an open alert (see `kept_for`). The
    batch `history` has no month, so it never expires. The rows of the partitions are not counted,
    so `rows` is 0.

    Args:
        session: session on the portfolio.
        keep_days: number of days to keep.
        today: current date, as a person says. If None, today in UTC by the clock.

    Raises:
        StateError: `keep_days` is out of range, the clock is months ahead of the newest batch, or
            the drop would leave training with fewer labelled loans than the contract requires.
    """
    if not 1 <= keep_days <= MOST_KEEP_DAYS:
        raise StateError(f"--keep-days {keep_days}: use 1 to {MOST_KEEP_DAYS} days")
    with database.transaction(session.connection):
        limit = (today or _judged_today(session)) - timedelta(days=keep_days)
        change = database.row(session.connection, "select_change")
        found = [
            ExpiredMonth(row["partition"], row["table_name"], row["month"], row["bytes"])
            for row in database.rows(session.connection, "select_partitions")
            if date.fromisoformat(_bounds(row["month"])[1]) <= limit
        ]
        since = change["since"] if change else None
        if since is not None:
            why = f"an open alert reports a change since {since}, and training needs its loans"
            found = [
                replace(each, kept_for=why)
                if each.month >= since[:7] and each.table != "calls"
                else each
                for each in found
            ]
        _refuse_too_little(session, [each for each in found if each.kept_for is None])
    return found


def _judged_today(session: Session) -> date:
    """Return the date of the clock in UTC, unless it is months ahead of the newest batch.

    The date of a batch is the lender's and not the clock's.
    """
    today = datetime.now(UTC).date()
    found = database.row(session.connection, "select_newest_batch")
    if found is not None:
        ahead = (today - date.fromisoformat(found["batch_id"])).days
        if ahead > MOST_DAYS_AHEAD:
            raise StateError(
                f"the clock says {today}, and the newest batch of {session.contract.portfolio} is "
                f"{found['batch_id']}, {ahead} days before; nothing was dropped; check the clock, "
                f"and if it is right run `loan-scoring retention --portfolio "
                f"{session.contract.portfolio} --today {today}` (in Airflow: trigger the "
                f'maintenance with {{"today": "{today}"}})'
            )
    return today


def _refuse_too_little(session: Session, found: list[ExpiredMonth]) -> None:
    months = [each.month for each in found if each.table == "applications"]
    if not months:
        return
    kept_from = _bounds(max(months))[1]
    mature = read_cohorts(session).mature
    kept = [each for each in mature if each.batch_id == HISTORY or each.batch_id >= kept_from]
    left = sum(each.final for each in kept)
    needed = session.contract.training.min_loans
    if left < needed:
        raise StateError(
            f"without {min(months)} to {max(months)} training has {left} "
            f"labelled loans, and the contract requires {needed}; keep more days or add a history"
        )


def drop_expired(
    session: Session,
    keep_days: int,
    by: str,
    today: date | None = None,
    patience: float = 60,
    export_to: str | None = None,
) -> list[ExpiredMonth]:
    """Drop the expired partitions, except those with a reason in `kept_for`.

    Return the dropped and the kept partitions.

    Each partition is dropped in one transaction with its row in table `dropped_partitions`. If the
    process is killed, the next call drops the remaining partitions.

    A try that does not get a lock within a second gives up, because the stages of a night must not
    wait longer. After a pause the drop is tried again.

    Args:
        session: session of the role that owns the schema.
        keep_days: number of days to keep.
        by: the user, in the form `cli:USER` or `airflow:DAG`.
        today: current date, as for `expired_months`.
        patience: time in seconds for the tries to drop one partition.
        export_to: folder or bucket to which a month is exported before its first partition is
            dropped. A month that cannot be exported is not dropped.

    Raises:
        BusyError: a table stayed in use for `patience` seconds. Partitions that were dropped before
            the error stay dropped.
        DatabaseError: the role does not own the tables.
        StateError: as for `expired_months`.
    """
    done = []
    exported: set[str] = set()
    for each in expired_months(session, keep_days, today):
        if each.kept_for is None:
            if export_to and each.month not in exported and each.table != "calls":
                exported.add(each.month)
                if not _is_exported(session, each.month, export_to):
                    export_month(session, each.month, export_to, by)
            dropped = _drop_patiently(session, each, keep_days, by, patience)
            if dropped is not None:
                done.append(dropped)
        else:
            done.append(count_month(session, each))
    return done


def _is_exported(session: Session, month: str, to: str) -> bool:
    """Return whether a month was exported there and a part of it was dropped since.

    So a retention that was killed between two drops goes on.
    """
    with database.transaction(session.connection):
        gone = database.rows(session.connection, "select_dropped_tables")
        known = database.rows(session.connection, "select_exports")
    start = f"{to.rstrip('/')}/"
    return any(row["month"] == month for row in gone) and any(
        row["month"] == month and row["location"].startswith(start) for row in known
    )


def count_month(session: Session, month: ExpiredMonth) -> ExpiredMonth:
    """Return a copy of `month` in which `rows` is the partition's current number of rows."""
    with database.transaction(session.connection):
        return replace(month, rows=_rows(session, month.partition))


def _drop_patiently(
    session: Session, month: ExpiredMonth, keep_days: int, by: str, patience: float
) -> ExpiredMonth | None:
    tries = Retrying(
        retry=retry_if_exception_type(psycopg2.errors.LockNotAvailable),
        stop=stop_after_delay(patience),
        wait=wait_fixed(PAUSE_SECONDS),
        reraise=True,
    )
    try:
        return tries(_drop, session, month, keep_days, by)
    except psycopg2.errors.LockNotAvailable:
        raise BusyError(
            f"{month.table} has been in use for {patience:g} s, so {month.partition} was not "
            "dropped; run retention again when the night's work is done"
        ) from None
    except psycopg2.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"the role {session.connection.info.user} does not own {month.partition}; set "
            "LOAN_SCORING_OWNER_URL to the owner's URL (in Airflow: the connection "
            "loan_scoring_owner)"
        ) from error


def _drop(session: Session, month: ExpiredMonth, keep_days: int, by: str) -> ExpiredMonth | None:
    """Drop one partition, record the drop, and return the partition with its number of rows.

    Return None if another process has just dropped the partition.
    """
    connection = session.connection
    low, high = _bounds(month.month)
    with database.transaction(connection), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        database.lock(connection, f"partitions:{month.table}")
        # Queries lock the table first and its partition second. A drop must use the same order,
        # because otherwise a query and a drop could block each other (deadlock).
        cursor.execute(
            sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(
                sql.Identifier(month.table)
            )
        )
        present = [row["partition"] for row in database.rows(connection, "select_partitions")]
        if month.partition not in present:
            return None
        # Wait for writers that COPY directly into the partition, because the number of rows
        # recorded below must include the rows of these writers.
        cursor.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                sql.Identifier(month.partition)
            )
        )
        database.execute(connection, "delete_queue_of_month", month=month.month)
        quarantined = 0
        if month.table == "applications":
            quarantined = database.execute(
                connection, "delete_quarantine_of_month", low=low, high=high
            )
            database.execute(connection, "delete_loans_of_month", low=low, high=high)
            database.execute(connection, "delete_messages_of_month", low=low, high=high)
        gone = replace(month, rows=_rows(session, month.partition), quarantined=quarantined)
        database.execute(
            connection,
            "insert_dropped_partition",
            partition=gone.partition,
            table_name=gone.table,
            month=gone.month,
            rows=gone.rows,
            bytes=gone.bytes,
            quarantined=quarantined,
            keep_days=keep_days,
            dropped_by=by,
        )
        cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(gone.partition)))
        details = {"rows": gone.rows, "quarantined": quarantined, "keep_days": keep_days}
        audit.record_entry(session, by, "partition.drop", gone.partition, details)
    log.info("dropped %s: %s rows, %s bytes", gone.partition, gone.rows, gone.bytes)
    return gone


def _rows(session: Session, partition: str) -> int:
    with session.connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(partition)))
        found = cursor.fetchone()
        return int(found[0]) if found else 0


def _bounds(month: str) -> tuple[str, str]:
    """Return the first day of a month and the first day of the next month, as YYYY-MM-DD."""
    return partition_bounds("", f"{month}-01")[1:]
