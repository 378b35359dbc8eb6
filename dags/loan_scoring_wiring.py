"""What all DAGs share: default arguments, a task's batch and session, failing for good."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink, Connection, Param, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from loan_scoring.errors import ContractError, GoneError, PassingSourceError, SourceError

if TYPE_CHECKING:
    from loan_scoring.database.session import Session
    from loan_scoring.database.task_metrics import TaskWork

DEFAULT_ARGS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=1),  # 1.5 million loans take a stage under a minute
}

# A new DAG waits for its next time. Airflow's own default runs the last one too when it is not
# long past: a night for which no file can be there.
NOT_IN_ARREARS = timedelta(0)

# Airflow takes dates alone for the key of a nightly run, and dag.test() takes no key at all.
BATCH_PARAMS = {
    "batch_id": Param(
        None,
        type=["null", "string"],
        pattern="^(history|[0-9]{4}-[0-9]{2}-[0-9]{2})$",
        description="The batch of a run without partition key: a business date, or history",
    )
}


def batch_id() -> str:
    """Return the batch of the running task: the run's partition key, else its param batch_id."""
    found = batch_of(get_current_context())
    if not found:
        raise AirflowFailException("which batch? trigger with a partition key or with batch_id")
    return found


def batch_of(context: Any) -> str | None:
    """Return the batch of a run by a task's context, None where it has none."""
    return context["dag_run"].partition_key or context["params"].get("batch_id")


def connection_url(name: str) -> str | None:
    """Return the URL of an Airflow connection, None where there is none."""
    try:
        return Connection.get(name).get_uri()
    except AirflowNotFoundException:
        return None


@contextmanager
def task_session(
    portfolio: str, batch_id: str | None = None, *, as_owner: bool = False
) -> Iterator[tuple["Session", "TaskWork"]]:
    """Open a session for the running task, and note what the task did and cost.

    What another try cannot mend (a broken file, a mistake in the contract, dropped rows) fails at
    once; a file that is still being written is tried again. `as_owner` takes the connection
    `loan_scoring_owner` where there is one: its role may drop tables. A statement has the task's
    limit of time, too: the signal by which Airflow keeps to it is heard once Postgres answers.
    """
    from loan_scoring.database.session import open_session
    from loan_scoring.database.task_metrics import TaskStart, measure_task
    from loan_scoring.local.postgres import portfolio_database_url

    context: Any = get_current_context()
    instance, run_at = context["ti"], context["dag_run"].start_date
    stage = instance.dag_id.removeprefix(f"{portfolio}_")
    task = f"{stage}.{instance.task_id}"
    after = [f"{stage}.{each}" for each in context["task"].upstream_task_ids]
    url = (as_owner and connection_url("loan_scoring_owner")) or connection_url("loan_scoring")
    limit = f"{context['task'].execution_timeout.total_seconds():.0f}s"
    start = TaskStart(instance.try_number, instance.start_date, run_at, after)
    try:
        with (
            open_session(
                portfolio, portfolio_database_url(url), parameters={"statement_timeout": limit}
            ) as session,
            measure_task(
                session, instance.run_id, task, batch_id, instance.map_index, start
            ) as work,
        ):
            yield session, work
    except PassingSourceError:
        raise
    except (ContractError, GoneError, SourceError) as error:
        raise AirflowFailException(str(error)) from error


def page_address(page: str) -> str:
    """Return the address of a page of plugins/loan_scoring_plugin.py, in the UI that it is in."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/loan-scoring/{page}"


class QualityPage(BaseOperatorLink):
    """The button on ingest's check that opens the page of the batch's verdicts."""

    name = "Quality of the batch"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's form)
        """Return the page's address; Airflow asks after the task's end, failed or not."""
        context = ti_key.get_template_context()
        revision = ti_key.xcom_pull(task_ids="land")
        return page_address(f"quality/{ti_key.dag_id}/{batch_of(context)}/{revision}")
