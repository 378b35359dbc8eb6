"""Choose the nights of a page: the newest ones, or those of a date range."""

from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session

MOST_NIGHTS = 366
"""Maximum number of nights on one page."""


def chosen_nights(
    session: Session, nights: int, since: str | None = None, until: str | None = None
) -> list[database.Row]:
    """Return `batch_id`, `scoring_run_id` and `propensity_version` of nights, the newest first.

    Args:
        session: database session that reads.
        nights: number of nights up to `until`. With `since`, all nights of the range count.
        since: batch_id of the oldest night. None means no limit.
        until: batch_id of the newest night. None means the last one.
    """
    limit = MOST_NIGHTS if since else nights
    return database.rows(
        session.connection, "select_compared_nights", nights=limit, since=since, until=until
    )


def range_of(nights: int, since: str | None, until: str | None) -> dict[str, Any]:
    """Return the parameters of an address that choose the same nights."""
    chosen = {"since": since, "until": until, "nights": None if since else nights}
    return {name: value for name, value in chosen.items() if value}
