"""Tell people of alerts through the contract's channels, once, whatever is rerun or broken.

The table `deliveries` is an outbox: an event of an alert is queued in one transaction, and its row
says that it was delivered once the channel took it. A kill between the two sends one message again,
with the same id (docs/adr/0017).
"""

import json
import logging
from collections.abc import Callable

from loan_scoring import database
from loan_scoring.contract import Channel, Contract
from loan_scoring.database.session import Session
from loan_scoring.monitoring.alerts import messages
from loan_scoring.monitoring.alerts.delivery_errors import delivery_error
from loan_scoring.monitoring.alerts.messages import Message

log = logging.getLogger(__name__)

MOST = 20
"""Events that one message tells; more than that are told by several."""

Send = Callable[[Channel, Message], None]
"""Sends a message through a channel and raises where it was not taken."""


def deliver_alerts(session: Session, send: Send, batch_id: str, link: str | None = None) -> int:
    """Tell every channel what is new to it, and what it did not take before; return the messages.

    A channel that does not take its message is left for this run, and is an alert itself, which the
    other channels are told of; it is resolved when the channel takes a message again.

    Args:
        batch_id: what the run worked on: where an alert on a channel begins or goes on.
        link: the page of the run that tells it, if it has one.
    """
    channels, sent = session.contract.notifications, 0
    working = list(channels)
    while True:
        for channel in channels:
            _queue(session, channel)
        before = (sent, len(working))
        for channel in list(working):
            took = _send_next(session, channel, send, batch_id, link)
            sent += took is True
            if took is False:
                working.remove(channel)
        if (sent, len(working)) == before:
            return sent


def deliver_database_loss(contract: Contract, send: Send, stage: str, run: str, why: str) -> None:
    """Tell every channel that alerts cannot be read, where no outbox can keep it from repeating."""
    message = messages.lost_database_message(contract, stage, run, why)
    for channel in contract.notifications:
        try:
            send(channel, message)
        except Exception as error:  # noqa: BLE001 - the next one may work
            log.warning("%s", _broken(channel, delivery_error(error)))


def _queue(session: Session, channel: Channel) -> None:
    worse = ["critical"] if channel.least_severity == "critical" else ["critical", "warning"]
    with database.transaction(session.connection):
        database.lock(session.connection, f"channel:{channel.name}")
        database.execute(
            session.connection,
            "queue_deliveries",
            channel=channel.name,
            severities=worse,
            kinds=channel.alerts,
        )


def _send_next(
    session: Session, channel: Channel, send: Send, batch_id: str, link: str | None
) -> bool | None:
    """Send the oldest of what a channel has not taken; None where there is nothing.

    The channel's lock is held while it is sent: another run that comes meanwhile waits, and finds
    it told.
    """
    connection = session.connection
    with database.transaction(connection):
        database.lock(connection, f"channel:{channel.name}")
        events = database.rows(connection, "select_undelivered", channel=channel.name, most=MOST)
        if not events:
            return None
        ours = {
            "channel": channel.name,
            "alert_ids": [each["alert_id"] for each in events],
            "numbers": [each["number"] for each in events],
        }
        message = messages.alerts_message(session.contract, events, link)
        try:
            send(channel, message)
        except Exception as error:  # noqa: BLE001 - whatever a channel does, the run goes on
            why = delivery_error(error)
            log.warning("%s", _broken(channel, why))
            database.execute(connection, "update_undelivered", **ours, error=why)
            database.execute(
                connection,
                "upsert_delivery_alert",
                channel=channel.name,
                batch_id=batch_id,
                message=_broken(channel, why),
                evidence=json.dumps({"kind": channel.kind, "connection": channel.connection}),
            )
            return False
        database.execute(connection, "update_delivered", **ours, message_id=message.message_id)
        database.execute(connection, "resolve_delivery_alert", channel=channel.name)
        log.info(
            "channel %s took message %s: %s", channel.name, message.message_id, message.subject
        )
        return True


def _broken(channel: Channel, why: str) -> str:
    return (
        f"The channel {channel.name} ({channel.kind}, connection {channel.connection}) took no "
        f"message: {why}; it is tried again with the next run"
    )
