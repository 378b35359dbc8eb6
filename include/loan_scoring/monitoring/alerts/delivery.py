"""Send the events of alerts through the contract's channels, and send each event only once.

The table `deliveries` is an outbox. One transaction queues an event, and another transaction marks
the event as delivered after the channel accepted the message. There is one exception: if the
process is killed between sending and marking, the next run sends the message again, with the same
message id (docs/adr/0017).
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
"""Maximum number of events in one message. More events are sent in several messages."""

Send = Callable[[Channel, Message], None]
"""Function that sends a message through a channel.

The function raises an error if the channel does not accept the message.
"""


def deliver_alerts(session: Session, send: Send, batch_id: str, link: str | None = None) -> int:
    """Send every channel its undelivered events, and return the number of messages sent.

    A channel that does not accept a message is skipped until this call ends. The failure opens an
    alert on the channel. This alert is sent to the other channels. When the channel accepts a
    message again, the alert is resolved.

    Args:
        send: function that sends a message through a channel.
        batch_id: batch of the run. If a channel fails, the alert on the channel names this batch.
        link: URL of the page of the run that sends the messages. None if there is no page.
    """
    channels, sent = session.contract.notifications, 0
    working = list(channels)
    while True:
        for channel in channels:
            _queue(session, channel)
        before = (sent, len(working))
        for channel in list(working):
            is_sent = _send_next(session, channel, send, batch_id, link)
            sent += is_sent is True
            if is_sent is False:
                working.remove(channel)
        if (sent, len(working)) == before:
            return sent


def deliver_database_loss(contract: Contract, send: Send, stage: str, run: str, why: str) -> None:
    """Tell every channel that alerts cannot be read because the database does not respond.

    The outbox is in the database, so nothing can mark the message as delivered. A repeated call may
    therefore send the message again.
    """
    message = messages.lost_database_message(contract, stage, run, why)
    for channel in contract.notifications:
        try:
            send(channel, message)
        except Exception as error:  # noqa: BLE001 - the next channel may work
            log.warning("%s", _failure(channel, delivery_error(error)))


def _queue(session: Session, channel: Channel) -> None:
    severities = ["critical"] if channel.least_severity == "critical" else ["critical", "warning"]
    with database.transaction(session.connection):
        database.lock(session.connection, f"channel:{channel.name}")
        database.execute(
            session.connection,
            "queue_deliveries",
            channel=channel.name,
            severities=severities,
            kinds=channel.alerts,
        )


def _send_next(
    session: Session, channel: Channel, send: Send, batch_id: str, link: str | None
) -> bool | None:
    """Send a channel its oldest undelivered events.

    Return True if the channel accepted the events, and False if the channel did not accept them.
    Return None if there was nothing to send.

    The channel's lock is held while the message is sent. A second run waits for the lock and then
    finds the events already delivered.
    """
    connection = session.connection
    with database.transaction(connection):
        database.lock(connection, f"channel:{channel.name}")
        events = database.rows(connection, "select_undelivered", channel=channel.name, most=MOST)
        if not events:
            return None
        sending = {
            "channel": channel.name,
            "alert_ids": [each["alert_id"] for each in events],
            "numbers": [each["number"] for each in events],
        }
        message = messages.alerts_message(session.contract, events, link)
        try:
            send(channel, message)
        except Exception as error:  # noqa: BLE001 - no channel's failure may stop the run
            why = delivery_error(error)
            log.warning("%s", _failure(channel, why))
            database.execute(connection, "update_undelivered", **sending, error=why)
            database.execute(
                connection,
                "upsert_delivery_alert",
                channel=channel.name,
                batch_id=batch_id,
                message=_failure(channel, why),
                evidence=json.dumps({"kind": channel.kind, "connection": channel.connection}),
            )
            return False
        database.execute(connection, "update_delivered", **sending, message_id=message.message_id)
        database.execute(connection, "resolve_delivery_alert", channel=channel.name)
        log.info(
            "channel %s accepted message %s: %s", channel.name, message.message_id, message.subject
        )
        return True


def _failure(channel: Channel, why: str) -> str:
    return (
        f"The channel {channel.name} ({channel.kind}, connection {channel.connection}) did not "
        f"accept a message: {why}. The next run tries again"
    )
