"""Where refused records go, kept with text, line and broken rules, and how a person sees them."""

import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.ingest.row_rules import RejectedRow


def add_rejected_rows(
    session: Session, batch_id: str, revision: int, rejected: list[RejectedRow]
) -> None:
    """COPY rejected records of a batch into quarantine."""
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
    """Return rules as Postgres reads an array of text."""
    return "{" + ",".join(f'"{rule}"' for rule in rules) + "}"


def storable_text(text: str) -> str:
    """Return text that Postgres can hold: a NUL, which it cannot, is written as \\x00."""
    return text.replace("\x00", "\\x00")


def count_broken_rules(session: Session, batch_id: str | None = None) -> list[database.Row]:
    """Return how many rows broke each rule, by revision of a batch or file of outcomes."""
    with database.transaction(session.connection):
        return database.rows(session.connection, "select_quarantine_counts", batch_id=batch_id)
