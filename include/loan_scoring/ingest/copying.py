"""Copy the rows of a landed file into `applications` and `quarantine`."""

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.partitions import partition_name
from loan_scoring.database.readahead import read_ahead
from loan_scoring.database.session import Session
from loan_scoring.features.applications import with_features
from loan_scoring.ingest.files.blocks import Block
from loan_scoring.ingest.known_loans import quarantine_known_loans
from loan_scoring.ingest.quarantine import add_rejected_rows
from loan_scoring.ingest.row_rules import RejectedRow, RowRules


def copy_table(
    session: Session, table: Iterable[Block], batch_id: str, revision: int
) -> tuple[int, int]:
    """Parse and copy all rows of a file. Return the number of accepted and of quarantined rows."""
    rules = RowRules(session.contract)
    rejected_keys: dict[int, int | str] = {}

    def checked() -> Iterator[tuple[pa.Table, list[RejectedRow]]]:
        for block in table:
            rows, rejected = rules.apply(block)
            rejected_keys.update(
                (each.line_number, each.key) for each in rejected if each.key is not None
            )
            yield rows, rejected

    accepted, quarantined = copy_rows(session, batch_id, revision, checked())
    known = quarantine_known_loans(session, table, batch_id, revision, rejected_keys)
    return accepted - known, quarantined + known


def copy_rows(
    session: Session,
    batch_id: str,
    revision: int,
    blocks: Iterator[tuple[pa.Table, list[RejectedRow]]],
) -> tuple[int, int]:
    """COPY checked rows into tables `applications` and `quarantine`.

    Return the number of accepted rows and the number of quarantined rows.

    Args:
        session: database session of the role that ingests.
        batch_id: batch of the rows.
        revision: unpublished revision of the rows.
        blocks: accepted rows and rejected records of each block, as `RowRules.apply` returns them.
    """
    columns = ["batch_id", "revision", "line_number", *(c.name for c in session.contract.stored)]
    partition = partition_name("applications", batch_id)
    accepted = quarantined = 0
    for rows, text, rejected in read_ahead(_as_text(session, blocks, batch_id, revision)):
        if rows:
            database.copy_csv(session.connection, partition, columns, text)
        add_rejected_rows(session, batch_id, revision, rejected)
        accepted += rows
        quarantined += len(rejected)
    return accepted, quarantined


def _as_text(
    session: Session,
    blocks: Iterator[tuple[pa.Table, list[RejectedRow]]],
    batch_id: str,
    revision: int,
) -> Iterator[tuple[int, io.BytesIO, list[RejectedRow]]]:
    """Yield for each block the number of accepted rows, their CSV text, and rejected records.

    The accepted rows get the features that the contract stores.
    """
    features = [column.name for column in session.contract.stored_features]
    for rows, rejected in blocks:
        if features:
            rows = with_features(session, rows, batch_id, features)
        key = {"batch_id": batch_id, "revision": revision}
        key_columns = [pa.repeat(value, rows.num_rows) for value in key.values()]
        applications = pa.table([*key_columns, *rows.columns], names=[*key, *rows.column_names])
        yield rows.num_rows, database.as_csv(applications), rejected
