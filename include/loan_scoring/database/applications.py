"""Read applications from Postgres with COPY into Arrow tables with the contract's types."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from psycopg2 import sql

from loan_scoring import database
from loan_scoring.contract import KEY, Contract
from loan_scoring.database.cohorts import cohort_day, join_decisions
from loan_scoring.database.partitions import HISTORY
from loan_scoring.database.session import Session
from loan_scoring.database.types import ARROW_TYPES

ALL_ROWS = sql.SQL("true")


def labelled_applications(
    session: Session,
    columns: Sequence[str],
    since: str | None = None,
    *,
    with_batch: bool = False,
    with_cohort: bool = False,
    where: sql.Composable = ALL_ROWS,
) -> pa.Table:
    """Return the applications of current revisions that have an outcome, as an Arrow table.

    The columns are `loan_id`, the given columns, `is_default` (the outcome) and `is_history` (true
    if the application is in batch `history`). Rows are ordered by `loan_id`, so that equal data
    gives equal tables.

    Args:
        session: session on the portfolio.
        columns: names of the contract's columns to read.
        since: batch_id. If given, the table has a last column `is_recent`, which is true for
            applications of batch `since` or of a later batch, and false for batch `history`.
        with_batch: whether the table has a column `batch_id` too.
        with_cohort: whether it has a column `cohort_day` too, the loan's cohort as text.
        where: SQL condition on the applications, in terms of `a`.
    """
    recent = sql.SQL(", a.batch_id >= {} AND a.batch_id <> {} AS is_recent").format(
        sql.Literal(since), sql.Literal(HISTORY)
    )
    cohort = sql.SQL(", {} AS cohort_day").format(cohort_day(session.contract))
    asked = ((recent, since), (sql.SQL(", a.batch_id"), with_batch), (cohort, with_cohort))
    further = [column for column, is_asked in asked if is_asked]
    query = sql.SQL(
        "SELECT {columns}, o.is_default, a.batch_id = {history} AS is_history{further}"
        " FROM current_applications AS a JOIN outcomes AS o USING (loan_id) WHERE {where}"
        " ORDER BY loan_id"
    ).format(
        where=where,
        columns=_identifiers([KEY, *columns]),
        history=sql.Literal(HISTORY),
        further=sql.SQL("").join(further),
    )
    types = column_types(session.contract, [KEY, *columns])
    types |= {"is_default": pa.bool_(), "is_history": pa.bool_()}
    types |= {"is_recent": pa.bool_()} if since else {}
    types |= {"batch_id": pa.string()} if with_batch else {}
    types |= {"cohort_day": pa.string()} if with_cohort else {}
    return database.copy_out(session.connection, query, types)


def sampled_applications(
    session: Session, columns: Sequence[str], where: sql.Composable, rows: int, seed: int
) -> pa.Table:
    """Return a random sample of the applications of current revisions, ordered by `loan_id`.

    The columns are `loan_id`, the given columns and `batch_id`. The rows are those with the lowest
    hashes of seed and `loan_id`, so that equal data gives an equal sample.

    Args:
        session: session on the portfolio.
        columns: names of the contract's columns to read.
        where: SQL condition in terms of `a`, the application, `d`, its decision in effect if the
            contract's `known_for` needs it, and `o`, its outcome if it has one.
        rows: largest number of rows.
        seed: seed of the sample.
    """
    query = sql.SQL(
        "SELECT {names} FROM (SELECT a.* FROM current_applications AS a"
        " LEFT JOIN outcomes AS o ON o.loan_id = a.loan_id{decisions} WHERE {where}"
        " ORDER BY md5({seed} || a.loan_id::text), a.loan_id LIMIT {rows}) AS sample"
        " ORDER BY loan_id"
    ).format(
        names=_identifiers([KEY, *columns, "batch_id"]),
        decisions=join_decisions(session.contract),
        where=where,
        seed=sql.Literal(f"{seed}:"),
        rows=sql.Literal(rows),
    )
    types = column_types(session.contract, [KEY, *columns]) | {"batch_id": pa.string()}
    return database.copy_out(session.connection, query, types)


def read_applications(
    session: Session,
    batch_id: str,
    revision: int,
    columns: Sequence[str],
    bounds: tuple[object, object] | None = None,
) -> pa.Table:
    """Return `loan_id` and the given columns of a batch revision, ordered by `loan_id`.

    With `bounds`, only loans from the first to the last `loan_id` in `bounds`, both included, are
    returned.
    """
    within = [_between(*bounds)] if bounds else []
    return _applications(session, batch_id, revision, columns, within)


def read_application_blocks(
    session: Session,
    batch_id: str,
    revision: int,
    columns: Sequence[str],
    bounds: tuple[object, object] | None,
    rows: int,
) -> Iterator[pa.Table]:
    """Yield the rows that `read_applications` returns, in tables of at most `rows` rows."""
    within = [_between(*bounds)] if bounds else []
    reached: list[sql.Composed] = []
    while True:
        block = _applications(session, batch_id, revision, columns, [*within, *reached], rows)
        if block.num_rows:
            yield block
        if block.num_rows < rows:
            return
        last = sql.Literal(block.column(KEY)[-1].as_py())
        reached = [sql.SQL("loan_id > {}").format(last)]


def _applications(
    session: Session,
    batch_id: str,
    revision: int,
    columns: Sequence[str],
    within: list[sql.Composed],
    most: int | None = None,
) -> pa.Table:
    """Return the rows of a batch revision that meet all conditions, ordered by `loan_id`.

    Args:
        session: session on the portfolio.
        batch_id: batch to read.
        revision: revision of the batch to read.
        columns: names of the contract's columns to read.
        within: SQL conditions on the rows.
        most: maximum number of rows. None means no limit.
    """
    query = sql.SQL(
        "SELECT {columns} FROM applications WHERE {conditions} ORDER BY loan_id LIMIT {most}"
    ).format(
        columns=_identifiers([KEY, *columns]),
        conditions=sql.SQL(" AND ").join(
            [
                sql.SQL("batch_id = {}").format(sql.Literal(batch_id)),
                sql.SQL("revision = {}").format(sql.Literal(revision)),
                *within,
            ]
        ),
        most=sql.Literal(most),
    )
    types = column_types(session.contract, [KEY, *columns])
    return database.copy_out(session.connection, query, types)


def _between(first: object, last: object) -> sql.Composed:
    return sql.SQL("loan_id BETWEEN {} AND {}").format(sql.Literal(first), sql.Literal(last))


def column_types(contract: Contract, columns: Sequence[str]) -> dict[str, pa.DataType]:
    """Return a dictionary from column name to Arrow type for the given columns of the contract."""
    return {name: ARROW_TYPES[contract.by_name[name].type] for name in columns}


def _identifiers(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
