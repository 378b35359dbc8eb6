"""Keep table `loans`, because a loan may be an application of one current batch only."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.errors import StateError
from loan_scoring.ingest.row_rules import Lookup


@contextmanager
def known_loan_lookup(session: Session, batch_id: str) -> Iterator[Lookup | None]:
    """Yield a function that returns a mask of the keys that are loans of another batch.

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
        loan_ids = _array(keys.drop_null())
        found = database.rows(connection, "select_known_keys", loan_ids=loan_ids, batch_id=batch_id)
        known = pa.array([row["loan_id"] for row in found], keys.type)
        return np.asarray(pc.is_in(keys, value_set=known).to_numpy(zero_copy_only=False))

    try:
        yield is_known
    finally:
        connection.close()


def claim_loans(
    session: Session, batch_id: str, revision: int, loans: int, replaced: int | None
) -> None:
    """Enter the loans of a batch revision in table `loans`, within the caller's transaction.

    Args:
        session: database session of the role that ingests.
        batch_id: batch that becomes current.
        revision: revision that becomes current.
        loans: number of the revision's applications.
        replaced: revision that was current until now. Its loans that the new revision lacks are
            free again. None if no revision was current.

    Raises:
        StateError: another current batch has one of the loans.
    """
    key = {"batch_id": batch_id, "revision": revision}
    if replaced is not None:
        release_loans(session, batch_id, replaced, kept_by=revision)
    if database.execute(session.connection, "insert_loans", **key) == loans:
        return
    taken = database.row(session.connection, "select_taken_loans", **key)
    if taken is not None and taken["loans"]:
        raise StateError(
            f"batch {batch_id}: {taken['loans']} of its loans became applications of batch "
            f"{taken['first_batch_id']} since it landed; ingest its file again, or withdraw batch "
            f"{taken['first_batch_id']} if that one is wrong"
        )


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


def _array(keys: pa.Array) -> str:
    """Return keys as the literal of a Postgres array.

    This is far faster than passing a Python list to psycopg2.
    """
    if pa.types.is_integer(keys.type):
        return "{" + ",".join(map(str, keys.to_pylist())) + "}"
    quoted = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys.to_pylist())
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"
