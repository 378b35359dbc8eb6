"""Read applications from Postgres with their look-ups and features."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
from psycopg2 import sql

from loan_scoring.contract import HISTORY, KEY, Contract
from loan_scoring.database import applications
from loan_scoring.database.cohorts import Cohorts, read_cohorts
from loan_scoring.database.session import Session
from loan_scoring.features.compute import compute_features
from loan_scoring.features.lookups import KnownBy, join_lookups


def read_labelled(
    session: Session,
    columns: Sequence[str],
    since: str | None = None,
    cohorts: Cohorts | None = None,
    *,
    with_batch: bool = False,
) -> pa.Table:
    """Return the loans that training may read, with the given columns, look-ups and features.

    These are the loans with a final outcome in a mature cohort. Further columns and the order are
    as in `database.applications.labelled_applications`. `cohort_day` is always among them.

    Args:
        session: session on the portfolio.
        columns: names of columns, which may be of the file, of look-ups, or features.
        since: first batch whose applications are recent, or None.
        cohorts: cohorts of the portfolio. If None, they are read.
        with_batch: whether the table has a column `batch_id` too.

    Raises:
        StateError: an application of `history` has no date for a look-up that needs one.
    """
    contract = session.contract
    of_file = columns_of_file(contract, columns)
    is_dated = any(each.known_at and each.as_of is None for each in contract.lookups)
    table = applications.labelled_applications(
        session,
        of_file,
        since,
        with_batch=is_dated or with_batch,
        with_cohort=True,
        where=(cohorts or read_cohorts(session)).of_final(),
    )
    table = derive(session, table, columns, KnownBy())
    names = ["is_default", "is_history", "is_recent", "cohort_day", *["batch_id"] * with_batch]
    further = [name for name in names if name in table.column_names]
    return table.select([KEY, *columns, *further])


def read_sample(session: Session, columns: Sequence[str], where: sql.Composable) -> pa.Table:
    """Return `loan_id` and the given columns of a random sample of applications.

    The sample has at most `monitoring.sample_rows` rows. Condition and order are as in
    `database.applications.sampled_applications`.
    """
    contract = session.contract
    table = applications.sampled_applications(
        session,
        columns_of_file(contract, columns),
        where,
        contract.monitoring.sample_rows,
        contract.training.seed,
    )
    return derive(session, table, columns, KnownBy()).select([KEY, *columns])


def read_derived(
    session: Session,
    batch_id: str,
    revision: int,
    columns: Sequence[str],
    bounds: tuple[object, object] | None = None,
    delivery_id: int | None = None,
) -> pa.Table:
    """Return `loan_id` and the given columns of a batch revision, ordered by `loan_id`.

    Args:
        session: session on the portfolio.
        batch_id: batch to read.
        revision: revision of the batch.
        columns: names of columns, which may be of the file, of look-ups, or features.
        bounds: first and last `loan_id` to read. If None, all are read.
        delivery_id: last delivery of look-ups that may be read. If None, all may be read.
    """
    of_file = columns_of_file(session.contract, columns)
    table = applications.read_applications(session, batch_id, revision, of_file, bounds)
    known_by = KnownBy(business_day(batch_id), delivery_id)
    return derive(session, table, columns, known_by).select([KEY, *columns])


def read_derived_blocks(
    session: Session,
    batch_id: str,
    revision: int,
    columns: Sequence[str],
    bounds: tuple[object, object] | None,
    rows: int,
    delivery_id: int | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows that `read_derived` returns, in tables of at most `rows` rows."""
    of_file = columns_of_file(session.contract, columns)
    known_by = KnownBy(business_day(batch_id), delivery_id)
    for block in applications.read_application_blocks(
        session, batch_id, revision, of_file, bounds, rows
    ):
        yield derive(session, block, columns, known_by).select([KEY, *columns])


def derive(
    session: Session, table: pa.Table, columns: Sequence[str], known_by: KnownBy
) -> pa.Table:
    """Return a table with those of the given columns that are derived, joined and computed.

    Args:
        session: session on the portfolio.
        table: applications with the columns that `columns_of_file` names.
        columns: names of columns.
        known_by: what may be known of look-ups.
    """
    joined = join_lookups(session, table, columns, known_by)
    return compute_features(session.contract, joined, columns)


def with_features(
    session: Session, rows: pa.Table, batch_id: str, features: Sequence[str]
) -> pa.Table:
    """Return rows of a batch that is being ingested, with the given features as last columns.

    Raises:
        StateError: the batch is `history`, and a look-up needs a business date.
    """
    known_by = KnownBy(business_day(batch_id))
    return derive(session, rows, features, known_by).select([*rows.column_names, *features])


def columns_of_file(contract: Contract, columns: Sequence[str]) -> list[str]:
    """Return the columns of the file, except the key, from which the given columns are derived."""
    needed = contract.derived.closure(columns)
    return [column.name for column in contract.inputs if column.name in needed]


def business_day(batch_id: str) -> date | None:
    """Return the date of a batch. Return None for `history`, which has none."""
    return None if batch_id == HISTORY else date.fromisoformat(batch_id)
