"""Read the template values of the timeline: what happened to a portfolio, day by day."""

from datetime import UTC
from itertools import groupby
from typing import Any

from loan_scoring.database.session import Session
from loan_scoring.monitoring.timeline import PARTS, Event, read_timeline
from loan_scoring_web.story_forms import TimelineQuery

SHOWN = 150
"""Maximum number of events on a page."""
TITLES = {
    "batch": "Files",
    "scores": "Scores",
    "drift": "Drift",
    "alerts": "Alerts",
    "training": "Training",
    "models": "Models",
    "people": "Decisions of people",
}


def read_timeline_page(session: Session, query: TimelineQuery) -> dict[str, Any]:
    """Return the template values of the timeline, the latest event first."""
    after = (query.at, query.event, query.subject) if query.at else None
    found = read_timeline(
        session,
        limit=SHOWN + 1,
        part=query.part,
        batch_id=query.batch,
        since=query.since,
        until=query.until,
        after=after,
    )
    events = found[:SHOWN]
    chosen = {"batch": query.batch, "since": query.since, "until": query.until}
    kept = {name: value for name, value in chosen.items() if value}
    return {
        "days": _days(events),
        "parts": [(part, TITLES[part]) for part in PARTS],
        "titles": TITLES,
        "part": query.part,
        "batch": query.batch,
        "since": query.since,
        "until": query.until,
        "kept": kept,
        "older": _older(events[-1], query.part, kept) if len(found) > SHOWN else None,
        "is_first": after is None,
    }


def _days(events: list[Event]) -> list[tuple[str, list[Event]]]:
    return [
        (day, list(of_day))
        for day, of_day in groupby(
            events, key=lambda each: f"{each.happened_at.astimezone(UTC):%Y-%m-%d}"
        )
    ]


def _older(last: Event, part: str | None, kept: dict[str, str]) -> dict[str, str]:
    """Return the parameters of the next page."""
    event, subject = last.place
    found = {"at": last.happened_at.isoformat(), "event": event, "subject": subject, **kept}
    return found | ({"part": part} if part else {})
