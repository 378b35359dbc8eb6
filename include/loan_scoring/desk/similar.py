"""Find decided applications that are like one, and what became of them."""

from datetime import date, timedelta

from loan_scoring import database
from loan_scoring.database.session import Session

MOST_CASES = 8
NIGHTS_BACK = 60
"""Applications of so many days before the application's night are compared."""


def similar_cases(session: Session, score: database.Row) -> list[database.Row]:
    """Return applications that persons decided and that are most like one, the most like first.

    Like are applications of the same persona with the nearest default probability. If no model
    scored the application: those of the same exclusion reason, the newest first.

    Args:
        session: database session that reads.
        score: row of the application's score, from `select_application`.

    Returns:
        Rows with `loan_id`, `batch_id`, `default_probability`, `grade`, `amount`, `decided`,
        `approved_up_to` and `is_default`, which is None while no outcome is known.
    """
    since = date.fromisoformat(score["batch_id"]) - timedelta(days=NIGHTS_BACK)
    return database.rows(
        session.connection, "select_similar_cases", since=since.isoformat(),
        batch_id=score["batch_id"], loan_id=score["loan_id"], persona=score["persona"],
        probability=score["default_probability"], exclusion_reason=score["exclusion_reason"],
        cases=MOST_CASES,
    )  # fmt: skip
