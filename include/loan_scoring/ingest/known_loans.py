"""Look up keys in other batches, because a loan may be an application of only one batch."""

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
    """Yield a function that finds the keys that another published batch has.

    The function takes keys and returns a mask: True for each key that another published batch has.

    Yield None if no other batch is published.

    The function has a connection of its own, because the parsing thread calls the function while
    the session's connection is busy with COPY. Each call runs one query, which uses the index on
    `loan_id`.
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


def refuse_known_loans(session: Session, batch_id: str, revision: int) -> None:
    """Refuse a revision if one of its loans is by now an application of another batch.

    Raises:
        StateError: another batch's current revision has one of the loans.
    """
    key = {"batch_id": batch_id, "revision": revision}
    taken = database.row(session.connection, "select_known_loans", **key)
    if taken is not None and taken["loans"]:
        raise StateError(
            f"batch {batch_id}: {taken['loans']} of its loans became applications of batch "
            f"{taken['first_batch_id']} since it landed; ingest its file again"
        )


def _array(keys: pa.Array) -> str:
    """Return keys as the literal of a Postgres array.

    This is far faster than passing a Python list to psycopg2.
    """
    if pa.types.is_integer(keys.type):
        return "{" + ",".join(map(str, keys.to_pylist())) + "}"
    quoted = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys.to_pylist())
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"
