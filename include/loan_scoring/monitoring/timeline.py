"""Read what happened to a portfolio or to one alert as a list of events, each with a sentence."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loan_scoring import database
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts.messages import LABELS

PARTS = ("batch", "scores", "drift", "alerts", "training", "models", "people")
"""The groups of events, in the order in which a night causes them."""
OCCASIONS = {
    "training": "after training",
    "shadow": "after its nights in shadow",
    "command": "by a person",
    "rollback": "by rollback",
}
VERDICTS = {
    "promoted": "promoted",
    "refused": "refused",
    "rejected": "rejected",
    "timed_out": "not answered in time",
}
HANDLED = {
    "alert.acknowledge": "acknowledged",
    "alert.snooze": "snoozed",
    "alert.resolve": "resolved",
    "alert.assign": "assigned",
    "batch.withdraw": "withdrawn",
    "batch.restore": "taken back",
    "outcomes.withdraw": "outcomes withdrawn",
    "outcomes.restore": "outcomes taken back",
    "outcomes.correct": "outcomes corrected",
    "shadow.begin": "shadow begun",
}


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `name` is one or two words, such as `landed`. `level` is `good`, `warning`, `critical` or empty.
    `place` is the key under which the next page of events begins.
    """

    happened_at: datetime
    part: str
    name: str
    text: str
    level: str = ""
    batch_id: str | None = None
    done_by: str | None = None
    alert_id: int | None = None
    version: str | None = None
    place: tuple[str, str] = ("", "")


def read_timeline(
    session: Session,
    *,
    limit: int,
    part: str | None = None,
    batch_id: str | None = None,
    since: str | None = None,
    until: str | None = None,
    after: tuple[datetime, str, str] | None = None,
) -> list[Event]:
    """Return the events of a portfolio, the latest first.

    Args:
        session: database session that reads.
        limit: maximum number of events.
        part: one of PARTS. None means all.
        batch_id: batch whose events to return. None means all events.
        since: first day on which the event happened, in UTC. None means no limit.
        until: last day, likewise.
        after: time, event and subject of the last event of the page before. None for the first.
    """
    happened_at, event, subject = after or (None, None, None)
    rows = database.rows(
        session.connection, "select_timeline", limit=limit, part=part, batch_id=batch_id,
        since=since, until=until, happened_at=happened_at, event=event, subject=subject,
    )  # fmt: skip
    return [_event(row) for row in rows]


def read_story(session: Session, alert_id: int) -> list[Event]:
    """Return the story of one alert, the oldest event first.

    The story has the nights that show the cause, what people did, whom channels told, the requests
    for training, the models that were trained after these requests, and the verdicts on them.

    Args:
        session: database session that reads.
        alert_id: alert of the story.
    """
    found = []
    parts = {
        "drift": "select_nights_of_alert",
        "alerts": "select_history_of_alert",
        "training": "select_consequences_of_alert",
    }
    for part, query in parts.items():
        for row in database.rows(session.connection, query, alert_id=alert_id):
            if part == "drift":
                row |= {"event": "drifted", "facts": row}
            found.append(_event({"batch_id": None, "done_by": None, **row, "part": part,
                                 "subject": f"alert {alert_id}"}))  # fmt: skip
    return sorted(found, key=lambda event: event.happened_at)


def _event(row: dict[str, Any]) -> Event:
    facts, name = row["facts"] or {}, row["event"]
    text, level = _words(name, facts)
    subject = row["subject"]
    is_alert = row["part"] == "alerts" and subject.startswith("alert ")
    return Event(
        row["happened_at"],
        "models" if name in VERDICTS else row["part"],
        HANDLED.get(name) or VERDICTS.get(name) or name,
        text,
        level,
        row["batch_id"],
        row["done_by"],
        int(subject.removeprefix("alert ")) if is_alert else None,
        facts.get("version"),
        (name, subject),
    )


def _words(name: str, facts: dict[str, Any]) -> tuple[str, str]:
    """Return the sentence of an event and its level."""
    match name:
        case "landed":
            return f"{facts['received']:,} rows, {facts['accepted']:,} accepted", ""
        case "refused by checks":
            return f"revision {facts['revision']} of {facts['received']:,} rows", "critical"
        case "quarantined":
            share = facts["quarantined"] / max(facts["received"], 1)
            return f"{facts['quarantined']:,} rows, {share:.1%} of received", ""
        case "outcomes landed":
            return f"{facts['drop_id']}: {facts['accepted']:,} of {facts['received']:,} rows", ""
        case "scored":
            of = f"{facts['scored']:,} of {facts['applications']:,} loans by {facts['version']}"
            referred = f", {facts['referred']:,} referred"
            replaced = "" if facts["is_current"] else "; replaced since"
            return f"{of}{referred}{replaced}", ""
        case "drifted":
            return facts["message"], facts["severity"]
        case "alert raised":
            label = LABELS.get(facts["kind"], facts["kind"])
            return f"{label}; {_start(facts['message'])}", facts["severity"]
        case "asked" | "withheld":
            return facts["reason"], "warning" if name == "withheld" else ""
        case "trained":
            auc = f", AUC {facts['auc']:.4f}" if facts.get("auc") is not None else ""
            return f"{facts['version']}, {facts['algorithm']}{auc}", ""
        case "promoted" | "refused" | "rejected" | "timed_out":
            return _verdict(name, facts), "good" if name == "promoted" else "warning"
        case "told" | "not told":
            why = f": {facts['error']}" if facts.get("error") else ""
            return f"{facts['event']}, by the channel {facts['channel']}{why}", (
                "" if name == "told" else "warning"
            )
        case "decided":
            people = "1 person" if facts["persons"] == 1 else f"{facts['persons']} people"
            return (
                f"{facts['loans']:,} loans by {people}: {facts['approved']:,} approved, "
                f"{facts['declined']:,} declined",
                "",
            )
        case "shadow begun":
            return f"{facts['version']} beside {facts['beside']}", ""
        case "shadow ended":
            ended = str(facts["ended_as"]).replace("_", " ")
            return f"{facts['version']}, {ended}{_after(facts.get('reason'))}", ""
        case "signed":
            return f"{facts['version']}, {facts['signed_as']}{_after(facts.get('comment'))}", ""
        case "alert.assign":
            return f"to {facts.get('assignee') or 'nobody'}{_after(facts.get('comment'))}", ""
        case "alert.snooze":
            return f"until {facts.get('until')}{_after(facts.get('comment'))}", ""
    level = "warning" if name in ("batch.withdraw", "outcomes.withdraw") else ""
    return str(facts.get("comment") or ""), level


def _verdict(name: str, facts: dict[str, Any]) -> str:
    text = f"{facts['version']}, {OCCASIONS.get(facts['occasion'], facts['occasion'])}"
    if name == "promoted" and facts.get("replaces"):
        text += f", replaces {facts['replaces']}"
    if facts.get("failed"):
        text += _after(" ".join(facts["failed"]))
    return f"{text}{_after(facts.get('comment'))}"


def _start(text: str) -> str:
    """Return the first sentence of a message."""
    return text.partition(". ")[0]


def _after(text: str | None) -> str:
    return f": {text}" if text else ""
