"""Read the messages of a stream, and write replies and dead letters.

A message is a JSON object: `{"message_id": "...", "application": {FIELD: VALUE, ...}}`. The same
bytes go over every broker.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loan_scoring import database
from loan_scoring.contract import KEY
from loan_scoring.ingest.quarantine import NOT_A_MESSAGE
from loan_scoring.scoring.fields import Application, is_storable

MOST_BYTES = 1 << 20
"""Maximum size of a message."""
LONGEST_ID = 200
"""Maximum number of characters of a `message_id`."""
REUSED = "message_id_reused"
"""The fault of a message whose id another message has. It goes to the dead letters only."""


@dataclass(frozen=True)
class Message:
    """A message as it arrived, and the application in it, or None if it is no message at all.

    `message_id` is the sender's, or `sha256:` and the hash of a message that names none. Therefore
    the same bytes without an id are the same message. `faults` says why it is no message.
    """

    message_id: str
    body_sha256: str
    text: str
    application: Application | None
    faults: tuple[str, ...] = ()
    sent_at: datetime | None = None

    @property
    def key(self) -> str:
        """The loan that the message names, as text, or else the message's own id."""
        named = None if self.application is None else self.application.get(KEY)
        return self.message_id if named is None else str(named)


@dataclass(frozen=True)
class Answer:
    """What was done with a message: the reply as a JSON object, and the reasons of a refusal."""

    message: Message
    reply: dict[str, Any]
    refused: list[str]


def read_message(body: bytes, sent_at: datetime | None = None) -> Message:
    """Return the message with the given bytes. Bytes that are no message are a message too.

    >>> read_message(b'{"message_id": "m-1", "application": {"loan_id": 7}}').key
    '7'
    >>> read_message(b"[1]").faults
    ('not_a_message', 'not_an_object')
    """
    digest = hashlib.sha256(body).hexdigest()
    text = body[:MOST_BYTES].decode("utf-8", "backslashreplace")
    own_id = f"sha256:{digest}"

    def poison(fault: str, message_id: str = own_id) -> Message:
        return Message(message_id, digest, text, None, (NOT_A_MESSAGE, fault), sent_at)

    if len(body) > MOST_BYTES:
        return poison("too_long")
    try:
        # A number that JSON does not know would be stored as NaN.
        found = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return poison("not_json")
    if not isinstance(found, dict):
        return poison("not_an_object")
    message_id = found.get("message_id", own_id)
    if (
        not isinstance(message_id, str)
        or not 0 < len(message_id) <= LONGEST_ID
        or not is_storable(message_id)
    ):
        return poison("message_id")
    application = found.get("application")
    if not isinstance(application, dict) or found.keys() - {"message_id", "application"}:
        return poison("not_an_application", message_id)
    return Message(message_id, digest, text, application, (), sent_at)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def make_message(message_id: str, application: Application) -> bytes:
    """Return a message as a sender puts it on the stream."""
    return json.dumps({"message_id": message_id, "application": dict(application)}).encode()


def rounds(messages: Iterable[Message]) -> list[list[Message]]:
    """Divide messages into micro-batches of which none has a loan twice, in the order of arrival.

    So what becomes of a message never depends on the messages that happen to arrive with it.
    """
    found: list[list[Message]] = []
    seen: list[set[str]] = []
    for each in messages:
        place = next((i for i, keys in enumerate(seen) if each.key not in keys), len(found))
        # A later message of a loan stands in a later micro-batch than every earlier one.
        if place == len(found):
            found.append([])
            seen.append(set())
        found[place].append(each)
        seen[place].add(each.key)
    return found


def answer(message: Message, row: database.Row) -> Answer:
    """Return the answer to a message from what the database holds on it.

    Args:
        message: the message.
        row: its row of the query `select_stream_answers`.
    """
    reply: dict[str, Any] = {"message_id": message.message_id, "batch_id": row["batch_id"]}
    if row["body_sha256"] != message.body_sha256:
        reply = {"message_id": message.message_id, "refused": [REUSED]}
        return Answer(message, reply, [REUSED])
    if row["scoring_run_id"] is None:
        refused = list(row["rules"] or [])
        return Answer(message, reply | {"refused": refused}, refused)
    score = {name: _plain(row[name]) for name in SCORE}
    reasons = [row[f"reason_{place}"] for place in range(1, 5)]
    score["reasons"] = [reason for reason in reasons if reason is not None]
    return Answer(message, reply | {"scoring_run_id": row["scoring_run_id"]} | score, [])


SCORE = (
    "loan_id", "default_probability", "grade", "exclusion_reason", "decision", "persona",
    "persona_default_rate", "propensity_version", "personas_version", "scored_at",
)  # fmt: skip
"""Columns of table `scores` that a reply has, besides the reasons."""


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value if isinstance(value, int | float | str | None) else str(value)


def dead_letter(found: Answer) -> bytes:
    """Return the dead letter of a refused message: what arrived, and why it was refused."""
    return json.dumps(
        {
            "message_id": found.message.message_id,
            "refused": found.refused,
            "message": found.message.text,
        }
    ).encode()


def reply_text(found: Answer) -> bytes:
    """Return the reply to a message as it goes on the stream."""
    return json.dumps(found.reply).encode()


def unique(messages: Sequence[Message]) -> list[Message]:
    """Return the first message of each id, in their order."""
    found: dict[str, Message] = {}
    for each in messages:
        found.setdefault(each.message_id, each)
    return list(found.values())
