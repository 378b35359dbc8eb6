"""Store rejected records in table `quarantine`, and count the rows that broke each rule."""

import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.ingest.row_rules import RejectedRow


def add_rejected_rows(
    session: Session, batch_id: str, revision: int, rejected: list[RejectedRow]
) -> None:
    """COPY the rejected records of a batch revision into table `quarantine`."""
    if not rejected:
        return
    data = pa.table(
        {
            "batch_id": pa.repeat(batch_id, len(rejected)),
            "revision": pa.repeat(revision, len(rejected)),
            "line_number": [each.line_number for each in rejected],
            "raw_text": [storable_text(each.raw_text) for each in rejected],
            "rules": [postgres_array(each.rules) for each in rejected],
        }
    )
    database.copy_in(session.connection, "quarantine", data.column_names, data)


def postgres_array(rules: list[str]) -> str:
    """Return names of rules as the literal of a Postgres array."""
    return "{" + ",".join(f'"{rule}"' for rule in rules) + "}"


def storable_text(text: str) -> str:
    """Return text with each NUL replaced by \\x00, because Postgres cannot store NUL."""
    return text.replace("\x00", "\\x00")


def count_broken_rules(session: Session, batch_id: str | None = None) -> list[database.Row]:
    """Return the number of quarantined rows for each revision and broken rule.

    Args:
        session: database session.
        batch_id: batch or file of outcomes to count. None means all batches and files.
    """
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_quarantine_counts", batch_id=batch_id)
