"""Read the template values of the list of batches: filter, order, totals and small plots."""

from collections.abc import Sequence
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring_web.pages.nights import MOST_NIGHTS
from loan_scoring_web.pages.overview import amount_unit
from loan_scoring_web.pages.words import Shares, shares_of_night

SHOWN = 100
"""Number of nights that the list shows if no range is chosen."""
OUTCOME_FILES = 30
"""Number of files of outcomes below the list of batches, the latest ones."""
STATES = ("on time", "late", "waiting", "refused", "withdrawn")
ORDERS = {
    "night": "batch_id",
    "received": "received",
    "quarantined": "quarantined",
    "scored": "scored",
    "referred": "referred",
    "approved": "approved",
    "default": "default_rate",
    "loss": "loss_of_approved",
    "columns": "rank",
    "alerts": "open_alerts",
}
"""The figure by which each order sorts."""


def read_batches_page(
    session: Session,
    until: str | None = None,
    *,
    since: str | None = None,
    state: str | None = None,
    sort: str = "night",
    ascending: bool = False,
) -> dict[str, Any]:
    """Return the template values of the list of batches.

    Totals and plots are of the listed batches, so they follow the filter.

    Args:
        session: database session that reads.
        until: newest night to show. None means the last one.
        since: oldest night to show. None shows the last SHOWN nights up to `until`.
        state: one of STATES, to show only its nights.
        sort: one of ORDERS.
        ascending: whether the smallest value comes first.
    """
    limit = MOST_NIGHTS if since or state else SHOWN
    found = database.rows(session.connection, "select_nights", nights=limit + 1, until=until)
    is_cut, found = len(found) > limit, found[-limit:]
    nights = [
        night
        for night in found
        if (since is None or night["batch_id"] >= since)
        and (state is None or night["punctuality"] == state)
    ]
    for night in nights:
        night["shares"] = shares_of_night(night)
        approved = night["shares"].get("approve")
        night["approved"] = approved.of_all if approved else None
        night["rank"] = (night["critical_features"], night["drifted_features"])
    key = ORDERS[sort]
    known = [night for night in nights if night[key] is not None]
    unknown = [night for night in nights if night[key] is None]
    ordered = sorted(known, key=lambda night: night[key], reverse=not ascending)
    older = (
        found[0]["batch_id"] if is_cut and (since is None or found[0]["batch_id"] > since) else ""
    )
    return {
        "nights": ordered + unknown,
        "totals": _totals(nights),
        "volumes": [night["received"] for night in nights],
        "approvals": [night["approved"] for night in nights],
        "unit": amount_unit(session.contract),
        "since": since,
        "until": until,
        "state": state,
        "states": STATES,
        "sort": sort,
        "ascending": ascending,
        "older": older,
        "outcome_files": _outcome_files(session) if until is None else [],
    }


def _totals(nights: Sequence[database.Row]) -> dict[str, Any]:
    """Return the sums over nights. An alert that several nights show is counted once."""
    scored = [night for night in nights if night["shares"]]
    losses = [
        night["loss_of_approved"] for night in nights if night["loss_of_approved"] is not None
    ]
    sums = {
        name: sum(night[name] or 0 for night in nights)
        for name in ("received", "quarantined", "scored", "referred")
    }
    applications = sum(night["applications"] for night in scored)
    approved = sum(night["shares"]["approve"].loans for night in scored)
    return sums | {
        "nights": len(nights),
        "approve": Shares(approved, applications, sum(night["scored"] for night in scored)),
        "loss_of_approved": sum(losses) if losses else None,
        "alerts": len({each for night in nights for each in night["alert_ids"] or []}),
    }


def _outcome_files(session: Session) -> list[database.Row]:
    """Return the files of outcomes that landed last, with their counts and broken rules."""
    found = database.rows(session.connection, "select_outcome_drops")
    return sorted(found, key=lambda row: row["landed_at"], reverse=True)[:OUTCOME_FILES]
