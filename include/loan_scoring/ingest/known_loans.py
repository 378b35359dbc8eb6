"""The rule that a loan is the application of one batch only: look keys up in the other batches."""

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
    """Give what says which keys another batch's current revision holds; None where none can be.

    It is asked by the thread that parses, while this session's connection takes COPY: a connection
    between two threads comes to a standstill, so it has one of its own. Each question is one look
    into the index by loan.
    """
    other = database.row(session.connection, "select_other_batch", batch_id=batch_id)
    if other is None or not other["is_there"]:
        yield None
        return
    connection = database.connect_beside(session.connection)
    connection.autocommit = True

    def is_known(keys: pa.Array) -> np.ndarray:
        asked = _array(keys.drop_null())
        found = database.rows(connection, "select_known_keys", loan_ids=asked, batch_id=batch_id)
        known = pa.array([row["loan_id"] for row in found], keys.type)
        return np.asarray(pc.is_in(keys, value_set=known).to_numpy(zero_copy_only=False))

    try:
        yield is_known
    finally:
        connection.close()


def refuse_known_loans(session: Session, batch_id: str, revision: int) -> None:
    """Refuse to publish a revision whose loans another batch took since it landed.

    Raises:
        StateError: some loan is an application of another batch's current revision.
    """
    ours = {"batch_id": batch_id, "revision": revision}
    taken = database.row(session.connection, "select_known_loans", **ours)
    if taken is not None and taken["loans"]:
        raise StateError(
            f"batch {batch_id}: {taken['loans']} of its loans became applications of batch "
            f"{taken['first_batch_id']} since it landed; ingest its file again"
        )


def _array(keys: pa.Array) -> str:
    """Return keys as Postgres reads an array: one literal, many times quicker than a list."""
    if pa.types.is_integer(keys.type):
        return "{" + ",".join(map(str, keys.to_pylist())) + "}"
    quoted = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys.to_pylist())
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"
