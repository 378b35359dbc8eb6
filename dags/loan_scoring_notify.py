"""Notify: the last task of every DAG tells people what is new, through Airflow's own notifiers."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from airflow.sdk import DAG, Connection, get_current_context, task, teardown
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from loan_scoring.contract import Channel, Contract
from loan_scoring.errors import ChannelError, DatabaseError
from loan_scoring_wiring import batch_of, task_session

if TYPE_CHECKING:
    from loan_scoring.alerts.messages import Message

ANSWER_WITHIN_SECONDS = 30
"""How long a channel may take where its connection does not say."""


def notify_at_the_end(of: Contract, dag: DAG) -> None:
    """Put the task that tells people after all others, where the contract names a channel.

    A teardown: it runs however the others ended, and the run's state stays theirs.
    """
    if not of.notifications:
        return
    stage = dag.dag_id.removeprefix(f"{of.portfolio}_")

    @teardown
    @task
    def notify() -> None:
        """Keep the alert on a failed stage, and tell every channel what is new to it."""
        from loan_scoring.alerts import delivery, failures

        context: Any = get_current_context()
        instance, run = context["ti"], context["dag_run"]
        states = instance.get_task_states(run.dag_id, run_ids=[run.run_id])[run.run_id]
        failed = sorted({_task(each, dag) for each, state in states.items() if state == "failed"})
        batch, day = batch_of(context), run.run_after.date().isoformat()
        try:
            with task_session(of.portfolio, batch) as (session, work):
                failures.note(session, stage, batch, day, run.run_id, failed)
                work.rows = delivery.deliver(session, send, batch or day, _page(run))
        except DatabaseError as error:
            if instance.try_number > instance.max_tries:
                delivery.tell_without_database(of, send, stage, run.run_id, str(error))
            raise

    last = dag.leaves
    last >> notify()


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
    _notifier(channel, connection, message).notify({})


def _notifier(channel: Channel, connection: Connection, message: "Message") -> Any:
    extra = connection.extra_dejson
    if channel.kind == "smtp":
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        if not extra.get("from_email"):
            raise ChannelError(f"connection {channel.connection} has no from_email in its extra")
        return SmtpNotifier(
            smtp_conn_id=channel.connection,
            from_email=extra["from_email"],
            to=channel.recipients,
            subject=message.subject,
            html_content=message.html,
            custom_headers={"Message-ID": f"<{message.message_id}@loan-scoring>"},
        )
    if channel.kind == "slack":
        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

        return SlackWebhookNotifier(
            slack_webhook_conn_id=channel.connection, text=message.slack, unfurl_links=False
        )
    from airflow.providers.http.notifications import HttpNotifier

    # In the path of many a webhook lies its secret, and the hook logs the path that failed. A page
    # that it is sent on to would answer 200 and tell nobody.
    mask_secret(urlsplit(connection.host or "").path)
    patience = extra.get("timeout", ANSWER_WITHIN_SECONDS)
    return HttpNotifier(
        http_conn_id=channel.connection,
        json=message.payload,
        extra_options={"timeout": patience, "max_redirects": 0},
    )


def _task(state_key: str, dag: DAG) -> str:
    """Return a task's name; of a mapped one Airflow's key ends in its number."""
    return state_key if state_key in dag.task_dict else state_key.rpartition("_")[0]


def _page(run: Any) -> str | None:
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{run.dag_id}/runs/{quote(run.run_id)}" if base else None
