"""Read applications out of Postgres as typed columns: COPY, never row by row."""

from collections.abc import Sequence

import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.parsing import ARROW_TYPES
from loan_scoring.partitions import HISTORY
from loan_scoring.session import Session


def labelled_applications(session: Session, columns: Sequence[str]) -> pa.Table:
    """Return loan_id, the columns, is_default and is_history of each application with an outcome.

    Current applications only. Rows are in the order of loan_id, so that the same data is the same
    table; `is_history` says whether the application came with the history.
    """
    query = sql.SQL(
        "SELECT {columns}, o.is_default, a.batch_id = {history} AS is_history"
        " FROM current_applications AS a JOIN outcomes AS o USING (loan_id) ORDER BY loan_id"
    ).format(columns=_identifiers([KEY, *columns]), history=sql.Literal(HISTORY))
    types = arrow_types(session.contract, [KEY, *columns])
    types |= {"is_default": pa.bool_(), "is_history": pa.bool_()}
    return database.copy_out(session.connection, query, types)


def slice_of_batch(
    session: Session,
    batch_id: str,
    revision: int,
    columns: Sequence[str],
    bounds: tuple[object, object] | None = None,
) -> pa.Table:
    """Return loan_id and the given columns of a batch revision, or of its loans within `bounds`.

    `bounds` are the first and the last loan_id, both inclusive.
    """
    query = sql.SQL(
        "SELECT {columns} FROM applications WHERE batch_id = {batch_id} AND revision = {revision}"
    ).format(
        columns=_identifiers([KEY, *columns]),
        batch_id=sql.Literal(batch_id),
        revision=sql.Literal(revision),
    )
    if bounds is not None:
        query += sql.SQL(" AND loan_id BETWEEN {} AND {}").format(*map(sql.Literal, bounds))
    query += sql.SQL(" ORDER BY loan_id")
    types = arrow_types(session.contract, [KEY, *columns])
    return database.copy_out(session.connection, query, types)


def arrow_types(contract: Contract, columns: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the Arrow type of each of the contract's columns named."""
    return {name: ARROW_TYPES[contract.by_name[name].type] for name in columns}


def _identifiers(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
