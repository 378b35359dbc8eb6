"""Count the unknown levels of closed columns in the quarantined rows of a revision."""

from collections import Counter
from collections.abc import Sequence

from loan_scoring import database
from loan_scoring.contract import Column
from loan_scoring.database.session import Session
from loan_scoring.ingest.quarantine import split_record

UNKNOWN = "unknown_level"
"""The row rule that a value outside the levels of a closed column breaks."""

AT_ONCE = 2_000
"""Number of rows that are read at once, so that memory does not grow with the batch."""


def count_unknown_levels(
    session: Session, batch_id: str, batch: database.Row, columns: Sequence[Column]
) -> dict[str, Counter[str]]:
    """Return for each column how often each unknown level occurs, by the name of the column.

    The levels are read from the text of the quarantined rows, in the caller's transaction.

    Args:
        session: database session that reads.
        batch_id: batch of the revision.
        batch: the landed revision, as a row of table `batches`.
        columns: closed columns in which rows have an unknown level.
    """
    found: dict[str, Counter[str]] = {column.name: Counter() for column in columns}
    places = {
        f"{UNKNOWN}:{column.name}": (column.name, batch["header"].index(column.sources[0]))
        for column in columns
    }
    if not places:
        return found
    key = {"batch_id": batch_id, "revision": batch["revision"], "rules": list(places)}
    with session.connection.cursor(UNKNOWN) as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(database.statement("select_unknown_levels"), key)
        for raw_text, rules in cursor:
            values = split_record({"raw_text": raw_text, "rules": rules}, batch)
            for name, place in (places[rule] for rule in rules if rule in places):
                if values is not None:
                    found[name][values[place].strip()] += 1
    return found
