"""Channels: for each kind of channel in the contract, one of Airflow's own notifiers."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from loan_scoring.contract import Channel
from loan_scoring.errors import ChannelError

if TYPE_CHECKING:
    from loan_scoring.monitoring.alerts.messages import Message

TIMEOUT_SECONDS = 30
"""How long a channel may take to answer, where its connection sets no other `timeout`."""


def send(channel: Channel, message: "Message") -> None:
    """Send a message through a channel's notifier.

    Raises:
        ChannelError: the connection is missing or incomplete. Other errors are the notifier's.
    """
    try:
        connection = Connection.get(channel.connection)
    except AirflowNotFoundException as error:
        raise ChannelError(
            f"Airflow has no connection {channel.connection}: add it under Admin, Connections, or "
            f"set AIRFLOW_CONN_{channel.connection.upper()}"
        ) from error
    make = {"smtp": smtp, "slack": slack, "webhook": webhook}[channel.kind]
    # Calling the notifier would render the message as a template, and some of its text came with
    # a file. `notify` does not render.
    make(channel, connection, message).notify({})


def smtp(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier that mails a message to the channel's recipients."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    sender = connection.extra_dejson.get("from_email")
    if not sender:
        raise ChannelError(
            f"connection {channel.connection} has no from_email in its extra: add the sender there"
        )
    return SmtpNotifier(
        smtp_conn_id=channel.connection,
        from_email=sender,
        to=channel.recipients,
        subject=message.subject,
        html_content=message.html,
        custom_headers={"Message-ID": f"<{message.message_id}@loan-scoring>"},
    )


def slack(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier that posts a message to an incoming webhook of Slack."""
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    return SlackWebhookNotifier(
        slack_webhook_conn_id=channel.connection,
        text=message.slack,
        unfurl_links=False,
        timeout=connection.extra_dejson.get("timeout", TIMEOUT_SECONDS),
    )


def webhook(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier that posts a message as JSON to the connection's address.

    The path or query of a webhook often holds its secret, and the hook logs the address of a
    failed POST: both are masked. A redirect counts as a failure: the page that it leads to would
    answer 200 and notify nobody.
    """
    from airflow.providers.http.notifications import HttpNotifier

    address = urlsplit(connection.host or "")
    mask_secret([address.path, address.query])
    return HttpNotifier(
        http_conn_id=channel.connection,
        json=message.payload,
        extra_options={
            "timeout": connection.extra_dejson.get("timeout", TIMEOUT_SECONDS),
            "max_redirects": 0,
        },
    )
