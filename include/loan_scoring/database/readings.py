"""Record who read the record of one applicant."""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session


def record_reading(session: Session, user: str, loan_id: Any, place: str) -> None:
    """Add a row to table `readings`, in a transaction of its own.

    Args:
        session: session of a role that may write.
        user: who read, such as `airflow:NAME`.
        loan_id: the loan, as the contract types its key.
        place: `desk`, `cli`, `letter` or `export`.
    """
    with database.transaction(session.connection):
        database.execute(
            session.connection, "insert_reading", read_by=user, loan_id=loan_id, place=place
        )
