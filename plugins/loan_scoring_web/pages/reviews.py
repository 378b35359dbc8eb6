"""Read the template values of the sections on people's decisions."""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session

DAYS = 90
"""Days over which the portfolio page counts the decisions of people."""
SHOWN = 10
"""Maximum number of overrides that a page lists, the last ones."""


def read_reviews_section(
    session: Session, batch_id: str | None, persons: tuple[str, ...] | None
) -> dict[str, Any] | None:
    """Return the template values of the section on people's decisions. Return None without any.

    Args:
        session: database session that reads.
        batch_id: batch of the decisions. If None, those of the last DAYS days are shown.
        persons: names of the persons whose figures and names the user may see. None means all.
    """
    # Imported here because these modules import SciPy, which would slow the start of the API
    # server.
    from loan_scoring.desk import reviews

    days = DAYS if batch_id is None else None
    found = reviews.read_reviews(session, batch_id, days)
    if not len(found.decision):
        return None
    listed = database.rows(
        session.connection, "select_overrides", batch_id=batch_id, days=days, limit=SHOWN
    )
    judged, agreement = reviews.agreement_of(found)
    people = reviews.reviews_by_person(session.contract, found)
    return {
        "days": days,
        "decided": len(found.decision),
        "overrides": reviews.overrides_of(found, found.decision != ""),
        "judged": judged,
        "agreement": agreement,
        "kinds": reviews.outcomes_by_kind(found),
        "people": [each for each in people if _may_see(persons, each.name)],
        "persons": len(people),
        "sees_all": persons is None,
        "listed": [
            row if _may_see(persons, row["decided_by"]) else row | {"decided_by": None}
            for row in listed
        ],
    }


def _may_see(persons: tuple[str, ...] | None, name: str) -> bool:
    return persons is None or name in persons
