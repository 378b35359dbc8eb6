"""Send messages through the contract's channels (mail, Slack, webhook) with Airflow's notifiers."""

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
"""Default time-out for Slack and webhooks. The connection's extra can set another `timeout`."""


def send(channel: Channel, message: "Message") -> None:
    """Send a message through a channel.

    If sending fails, the error of Airflow's notifier is raised unchanged.

    Raises:
        ChannelError: the channel's Airflow connection is missing or incomplete.
    """
    try:
        connection = Connection.get(channel.connection)
    except AirflowNotFoundException as error:
        raise ChannelError(
            f"Airflow has no connection {channel.connection}: add it under Admin, Connections, or "
            f"set AIRFLOW_CONN_{channel.connection.upper()}"
        ) from error
    make = {"smtp": smtp, "slack": slack, "webhook": webhook}[channel.kind]
    # `notify` is called directly, because calling the notifier itself would render the message as
    # a Jinja template. The message contains text from landed files, which must not be rendered.
    make(channel, connection, message).notify({})


def smtp(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier that sends a message by mail to the channel's recipients.

    Raises:
        ChannelError: the connection names no sender.
    """
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
    """Return the notifier that posts a message to a Slack incoming webhook."""
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    return SlackWebhookNotifier(
        slack_webhook_conn_id=channel.connection,
        text=message.slack,
        unfurl_links=False,
        timeout=connection.extra_dejson.get("timeout", TIMEOUT_SECONDS),
    )


def webhook(channel: Channel, connection: Connection, message: "Message") -> Any:
    """Return the notifier that posts a message as JSON to the connection's URL.

    The path and the query of the URL often contain a secret, and Airflow logs the URL of a failed
    POST. So the path and the query are masked in the log. A redirect counts as a failure, because
    the page behind the redirect may respond with 200 although nobody is notified.
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
