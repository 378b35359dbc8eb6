"""Channels: each kind of the contract's channels as one of Airflow's own notifiers."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from loan_scoring.contract import Channel
from loan_scoring.errors import ChannelError

if TYPE_CHECKING:
    from loan_scoring.monitoring.alerts.messages import Message

ANSWER_WITHIN_SECONDS = 30
"""How long a channel may take where its connection does not say."""


def send(channel: Channel, message: "Message") -> None:
    """Send a message through a channel's notifier; raise where it was not taken.

    `notify`, not a call: a call renders the message as a template, and there are words in it that
    came with a file.
    """
    try:
        connection = Connection.get(channel.connection)
    except AirflowNotFoundException as error:
        raise ChannelError(
            f"Airflow has no connection {channel.connection}: add it under Admin, Connections, or "
            f"set AIRFLOW_CONN_{channel.connection.upper()}"
        ) from error
    make = {"smtp": smtp, "slack": slack, "webhook": webhook}[channel.kind]
    make(channel, connection, message).notify({})


def smtp(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier of a mail to the channel's recipients."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    sender = connection.extra_dejson.get("from_email")
    if not sender:
        raise ChannelError(f"connection {channel.connection} has no from_email in its extra")
    return SmtpNotifier(
        smtp_conn_id=channel.connection,
        from_email=sender,
        to=channel.recipients,
        subject=message.subject,
        html_content=message.html,
        custom_headers={"Message-ID": f"<{message.message_id}@loan-scoring>"},
    )


def slack(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier of an incoming webhook of Slack."""
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    return SlackWebhookNotifier(
        slack_webhook_conn_id=channel.connection,
        text=message.slack,
        unfurl_links=False,
        timeout=connection.extra_dejson.get("timeout", ANSWER_WITHIN_SECONDS),
    )


def webhook(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier of a POST of JSON to the connection's address.

    In the path or query of many a webhook lies its secret, and the hook logs those that failed. A
    page that the POST is sent on to would answer 200 and tell nobody: that is a failure.
    """
    from airflow.providers.http.notifications import HttpNotifier

    address = urlsplit(connection.host or "")
    mask_secret([address.path, address.query])
    return HttpNotifier(
        http_conn_id=channel.connection,
        json=message.payload,
        extra_options={
            "timeout": connection.extra_dejson.get("timeout", ANSWER_WITHIN_SECONDS),
            "max_redirects": 0,
        },
    )
