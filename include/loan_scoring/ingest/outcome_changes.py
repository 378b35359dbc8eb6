"""Record a change of which outcomes count, and bring table `outcomes` up to date."""

from dataclasses import dataclass
from datetime import datetime

from loan_scoring import database
from loan_scoring.counted import counted
from loan_scoring.database.session import Session


@dataclass(frozen=True)
class OutcomeChange:
    """A row of table `outcome_changes`."""

    change_id: int
    changed_at: datetime


@dataclass(frozen=True)
class ChangedLoans:
    """The number of loans whose outcome a change has added, changed or removed.

    `added` counts the loans that got their first outcome. A loan counts as changed if it paid
    before and is a default now, or the reverse. `recovered` counts the defaulted loans whose
    recovered amount is another one.
    """

    added: int = 0
    changed: int = 0
    recovered: int = 0
    removed: int = 0

    @property
    def sentence(self) -> str:
        """Return a text with the counts that are not 0."""
        counts = {
            "with a first outcome": self.added,
            "with another outcome": self.changed,
            "with another recovered amount": self.recovered,
            "without an outcome now": self.removed,
        }
        return ", ".join(
            f"{counted(loans, 'loan')} {what}" for what, loans in counts.items() if loans
        )


def record_change(
    session: Session,
    change: str,
    drop_id: str,
    revision: int,
    user: str | None = None,
    comment: str | None = None,
) -> OutcomeChange:
    """Record that a file of outcomes begins or ceases to count, in the caller's transaction.

    The caller holds the lock `outcomes`, so that the numbers count up in the order of commits.

    Args:
        session: session with an open transaction.
        change: `taken`, `corrected`, `withdrawn` or `restored`.
        drop_id: file of outcomes.
        revision: revision of the file.
        user: who acted, as `cli:NAME` or `airflow:DAG`. None for a file that is not a correction.
        comment: reason. None if nobody gave a reason.
    """
    row = database.row(
        session.connection,
        "insert_outcome_change",
        change=change,
        drop_id=drop_id,
        revision=revision,
        changed_by=user,
        comment=comment,
    )
    assert row is not None  # noqa: S101 - INSERT ... RETURNING always gives one row
    return OutcomeChange(**row)


def refresh_outcomes(
    session: Session, change: OutcomeChange, drop_id: str, since: int
) -> ChangedLoans:
    """Write the newest statement on each loan into table `outcomes`, after a change of a file.

    The newest statement is the statement with the greatest date. Of statements with the same date
    the later one counts. A statement without a date is older than every statement with a date. A
    correction overrules every earlier statement, whatever the dates. Statements of withdrawn files
    and of replaced revisions do not count.

    Args:
        session: session with an open transaction that holds the lock `outcomes`.
        change: the change.
        drop_id: the file that the change concerns.
        since: oldest revision of the file whose statements the change affects.
    """
    connection = session.connection
    database.execute(connection, "create_changed_outcomes", drop_id=drop_id, since=since)
    database.execute(connection, "delete_changed_outcomes")
    database.execute(connection, "insert_changed_outcomes")
    database.execute(connection, "insert_outcome_changes_by_batch", change_id=change.change_id)
    counts = database.row(connection, "select_changed_outcome_counts")
    assert counts is not None  # noqa: S101 - an aggregate without GROUP BY gives one row
    return ChangedLoans(**counts)
