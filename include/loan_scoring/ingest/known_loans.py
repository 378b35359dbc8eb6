"""Keep table `loans`, because a loan may be an application of one current batch only."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.counted import counted, named
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.quarantine import add_rejected_rows
from loan_scoring.ingest.row_rules import Lookup, RejectedRow

log = logging.getLogger(__name__)


@contextmanager
def known_loan_lookup(session: Session, batch_id: str) -> Iterator[Lookup | None]:
    """Yield a function that takes keys and returns a mask: True for each key of another batch.

    Yield None if no other batch is published.

    The function has a connection of its own, because the parsing thread calls the function while
    the session's connection is busy with COPY. Each call runs one query, which uses the primary key
    of table `loans`.
    """
    other = database.row(session.connection, "select_other_batch", batch_id=batch_id)
    if other is None or not other["is_there"]:
        yield None
        return
    connection = database.connect_beside(session.connection)
    connection.autocommit = True

    def is_known(keys: pa.Array) -> np.ndarray:
        loan_ids = array_literal(keys.drop_null())
        found = database.rows(connection, "select_known_keys", loan_ids=loan_ids, batch_id=batch_id)
        known = pa.array([row["loan_id"] for row in found], keys.type)
        return np.asarray(pc.is_in(keys, value_set=known).to_numpy(zero_copy_only=False))

    try:
        yield is_known
    finally:
        connection.close()


def quarantine_known_loans(
    session: Session,
    table: Iterable[Block],
    batch_id: str,
    revision: int,
    rejected_keys: dict[int, int | str],
) -> int:
    """Move landed rows whose loan another batch has to table `quarantine`. Return their number.

    One query looks all loans up after the last row has landed. A query for each block would take
    three times as long, because neighbouring keys share pages of the index. The file is read again
    only if there is such a row, for the text of the rows. Rows that are in quarantine already get
    the rule `known_key` too.

    Args:
        session: database session of the role that ingests, in the transaction of the landing.
        table: the landed file, which can be read twice.
        batch_id: batch of the rows.
        revision: unpublished revision of the rows.
        rejected_keys: keys of the rows in quarantine, by line number.
    """
    key = {"batch_id": batch_id, "revision": revision}
    if rejected_keys:
        keys = pa.array(rejected_keys.values())
        found = database.rows(
            session.connection, "select_known_keys", loan_ids=array_literal(keys), batch_id=batch_id
        )
        known = {row["loan_id"] for row in found}
        database.execute(
            session.connection,
            "add_broken_rule",
            **key,
            rule=f"known_key:{KEY}",
            line_numbers=[line for line, each in rejected_keys.items() if each in known],
        )
    found = database.rows(session.connection, "delete_known_applications", **key)
    if not found:
        return 0
    others = Counter(row["batch_id"] for row in found)
    log.warning(
        "batch %s: %s already an application of another batch: %s",
        batch_id,
        counted(len(found), "row is", "rows are"),
        named([f"{name} ({rows:,})" for name, rows in sorted(others.items())]),
    )
    lines = np.array([row["line_number"] for row in found])
    for block in table:
        rows = np.flatnonzero(np.isin(block.line_numbers, lines)).tolist()
        rejected = [
            RejectedRow(int(block.line_numbers[row]), block.raw_text(row), [f"known_key:{KEY}"])
            for row in rows
        ]
        add_rejected_rows(session, batch_id, revision, rejected)
    return len(found)


def claim_loans(session: Session, batch_id: str, revision: int, replaced: int | None) -> None:
    """Enter the loans of a batch revision in table `loans`, within the caller's transaction.

    Args:
        session: database session of the role that ingests.
        batch_id: batch that becomes current.
        revision: revision that becomes current.
        replaced: revision that was current until now. Its loans that the new revision lacks are
            free again. None if no revision was current.

    Raises:
        StateError: another current batch has one of the loans.
    """
    key = {"batch_id": batch_id, "revision": revision}
    if replaced is not None:
        release_loans(session, batch_id, replaced, kept_by=revision)
    with session.connection.cursor() as cursor:
        cursor.execute("SAVEPOINT claim")
        try:
            database.execute(session.connection, "insert_loans", **key, replaced=replaced)
        except psycopg2.errors.UniqueViolation as error:
            cursor.execute("ROLLBACK TO SAVEPOINT claim")
            taken = database.row(session.connection, "select_taken_loans", **key)
            if taken is None or not taken["loans"]:
                raise
            raise StateError(
                f"batch {batch_id}: {taken['loans']} of its loans became applications of batch "
                f"{taken['first_batch_id']} since it landed; ingest its file again, or withdraw "
                f"batch {taken['first_batch_id']} if that one is wrong"
            ) from error
        cursor.execute("RELEASE SAVEPOINT claim")


def release_loans(
    session: Session, batch_id: str, revision: int, kept_by: int | None = None
) -> None:
    """Delete the loans of a batch revision from table `loans`, so that other batches may have them.

    Args:
        session: database session of the role that ingests.
        batch_id: batch whose revision is no longer current.
        revision: that revision.
        kept_by: revision whose loans are not deleted, or None to delete all.
    """
    database.execute(
        session.connection, "delete_loans", batch_id=batch_id, revision=revision, kept_by=kept_by
    )


def array_literal(keys: pa.Array) -> str:
    """Return keys as the literal of a Postgres array.

    This is far faster than passing a Python list to psycopg2.
    """
    if pa.types.is_integer(keys.type):
        return "{" + ",".join(map(str, keys.to_pylist())) + "}"
    quoted = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys.to_pylist())
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"
