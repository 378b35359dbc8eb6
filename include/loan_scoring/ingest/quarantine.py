"""Store rejected records in table `quarantine`, count broken rules, and split records."""

import pyarrow as pa

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.ingest.files.blocks import csv_fields
from loan_scoring.ingest.files.csv_header import DELIMITERS
from loan_scoring.ingest.row_rules import RejectedRow

NOT_A_MESSAGE = "not_a_message"
"""The first rule of a message that is no application. Its text is the message itself."""
MALFORMED = {"field_count", "encoding", NOT_A_MESSAGE}
"""The rules that malformed records break. Such a record cannot be split into columns."""


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


def broken_rules(session: Session, batch_id: str, revision: int) -> str:
    """Return how many quarantined rows of a revision broke each rule, as `rule rows, rule rows`."""
    with database.transaction(session.connection):
        rows = database.rows(
            session.connection, "select_broken_rules", batch_id=batch_id, revision=revision
        )
    return ", ".join(f"{row['rule']} {row['rows']}" for row in rows)


def split_record(row: database.Row, revision: database.Row) -> list[str] | None:
    """Return the fields of a quarantined record, in the order of the source file's header.

    Return None if the record cannot be split into as many fields as the header has.

    Args:
        row: row of table `quarantine`.
        revision: row of table `batches` for the revision that contains the record.
    """
    if MALFORMED.intersection(row["rules"]):
        return None
    # The revision has the delimiter of the first file of a glob, and other files may have other
    # delimiters. Therefore all delimiters are tried.
    for delimiter in [revision["delimiter"], *DELIMITERS]:
        values = csv_fields(row["raw_text"], delimiter)
        if len(values) == len(revision["header"]):
            return values
    return None
