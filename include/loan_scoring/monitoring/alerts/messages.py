"""Write the messages that channels send: subject line, plain text, HTML, Slack text and JSON."""

import hashlib
import html
from collections import Counter
from dataclasses import dataclass
from typing import Any

from loan_scoring import database
from loan_scoring.contract import Contract

LABELS = {
    "bad_data": "bad data",
    "population": "other applicants",
    "concept": "other defaults",
    "quality": "not as the contract expects",
    "delivery": "a channel takes no message",
    "failure": "a stage failed",
    "landing": "files and nights differ",
    "contract": "a contract cannot be used",
    "open_day": "the open day of a stream drifts",
    "scans": "scanned pages differ or are left",
}
LONGEST = 1000
"""Maximum length of the text of one alert in a message, in characters.

The limit exists because Slack cuts a message at 40,000 characters.
"""


@dataclass(frozen=True)
class Message:
    """A message to a channel.

    A message that may not have arrived is sent again, with an unchanged `message_id`.
    """

    message_id: str
    subject: str
    text: str
    payload: dict[str, Any]
    """The content of the message in a form for programs, as values that JSON can hold."""

    @property
    def html(self) -> str:
        """Return the text as HTML, with all special characters escaped."""
        paragraphs = html.escape(self.text).replace("\n", "<br>").split("<br><br>")
        return "".join(f"<p>{each}</p>" for each in paragraphs)

    @property
    def slack(self) -> str:
        """Return subject and text for Slack, escaped so that nothing becomes a link or mention."""
        return html.escape(f"{self.subject}\n\n{self.text}", quote=False)


def alerts_message(contract: Contract, events: list[database.Row], link: str | None) -> Message:
    """Return one message about several events of alerts.

    If the events are sent again, the second message has the message id of the first message.

    Args:
        contract: contract of the portfolio.
        events: rows of the query `select_undelivered`.
        link: URL of the page of the run that sends the message. None if there is no page.
    """
    paragraphs = [f"{_head(each)}\n{_cut(each['message'])}" for each in events]
    paragraphs.append(f"All alerts: loan-scoring status --portfolio {contract.portfolio}")
    if link:
        paragraphs[-1] += f"\nSent by: {link}"
    keys = [(each["alert_id"], each["number"], each["queued_at"].isoformat()) for each in events]
    return _message(
        contract,
        hashlib.sha256(repr((contract.portfolio, keys)).encode()).hexdigest()[:32],
        _subject(events),
        "\n\n".join(paragraphs),
        [_as_json(each) for each in events],
        link,
    )


def lost_database_message(contract: Contract, stage: str, run: str, why: str) -> Message:
    """Return the message that alerts cannot be read because the database does not respond."""
    return _message(
        contract,
        hashlib.sha256(repr((contract.portfolio, stage, run)).encode()).hexdigest()[:32],
        f"critical: no database after {stage}",
        f"{why}\n\nThe run {run} of {stage} has ended. Whether it did its work, and which alerts "
        "there are, is unknown until the database answers again.",
        [],
        None,
    )


def _message(
    contract: Contract,
    message_id: str,
    subject: str,
    text: str,
    alerts: list[dict[str, Any]],
    link: str | None,
) -> Message:
    subject = _one_line(f"{contract.title}: {subject}")
    payload = {
        "message_id": message_id,
        "portfolio": contract.portfolio,
        "subject": subject,
        "text": text,
        "alerts": alerts,
        "link": link,
    }
    return Message(message_id, subject, text, payload)


def _subject(events: list[database.Row]) -> str:
    if len(events) == 1:
        (event,) = events
        return f"{_state(event)}: {LABELS[event['kind']]}, {_since(event)}"
    counts = Counter(_state(event) for event in events)
    order = ("critical", "now critical", "warning", "resolved")
    return "alerts: " + ", ".join(f"{counts[each]} {each}" for each in order if counts[each])


def _head(event: database.Row) -> str:
    label, subject = LABELS[event["kind"]], _cut(event["subject"], 200)
    return (
        f"{_state(event).upper()}: {label} ({subject}), {_since(event)}; "
        f"alert {event['alert_id']}, {event['queued_at']:%Y-%m-%d %H:%M} UTC"
    )


def _state(event: database.Row) -> str:
    states = {"resolved": "resolved", "escalated": "now critical"}
    return states.get(event["event"]) or str(event["severity"])


def _since(event: database.Row) -> str:
    first, last = event["batch_id"], event["last_batch_id"]
    return first if first == last else f"{first} to {last}"


def _as_json(event: database.Row) -> dict[str, Any]:
    return {
        **{name: event[name] for name in ("alert_id", "event", "severity", "kind")},
        **{name: event[name] for name in ("batch_id", "last_batch_id")},
        "subject": _cut(event["subject"], 200),
        "message": _cut(event["message"]),
        "queued_at": event["queued_at"].isoformat(),
    }


def _cut(text: str, longest: int = LONGEST) -> str:
    line = _one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _one_line(text: str) -> str:
    """Return text on one line.

    Otherwise a line break in text from a file could start a new email header or a new heading.
    """
    return " ".join(text.split())
