"""Where refused records go: kept with their text, their line and every rule that they broke."""

import pyarrow as pa

from loan_scoring import database
from loan_scoring.parsing import Rejected
from loan_scoring.session import Session


def add(session: Session, batch_id: str, revision: int, rejected: list[Rejected]) -> None:
    """COPY rejected records of a batch, or of a file of outcomes, into quarantine."""
    if not rejected:
        return
    data = pa.table(
        {
            "batch_id": pa.repeat(batch_id, len(rejected)),
            "revision": pa.repeat(revision, len(rejected)),
            "line_number": [each.line_number for each in rejected],
            "raw_text": [storable(each.raw_text) for each in rejected],
            "rules": [array(each.rules) for each in rejected],
        }
    )
    database.copy_in(session.connection, "quarantine", data.column_names, data)


def array(rules: list[str]) -> str:
    """Return rules as Postgres reads an array of text."""
    return "{" + ",".join(f'"{rule}"' for rule in rules) + "}"


def storable(text: str) -> str:
    """Return text that Postgres can hold: a NUL, which it cannot, is written as \\x00."""
    return text.replace("\x00", "\\x00")
