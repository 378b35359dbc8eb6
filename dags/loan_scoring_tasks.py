"""What a running task uses: its batch, its database session, failing without a retry."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from loan_scoring.errors import ContractError, GoneError, PassingSourceError, SourceError

if TYPE_CHECKING:
    from loan_scoring.database.session import Session
    from loan_scoring.database.task_metrics import TaskWork


def batch_id() -> str:
    """Return the batch of the running task: the run's partition key, else its param batch_id."""
    found = batch_of(get_current_context())
    if not found:
        raise AirflowFailException(
            "this run names no batch: trigger it with a partition key or the param batch_id"
        )
    return found


def batch_of(context: Any) -> str | None:
    """Return the batch of a task's context, None where its run names none."""
    return context["dag_run"].partition_key or context["params"].get("batch_id")


def connection_url(name: str) -> str | None:
    """Return the URL of an Airflow connection, None where it does not exist."""
    try:
        return Connection.get(name).get_uri()
    except AirflowNotFoundException:
        return None


@contextmanager
def task_session(
    portfolio: str, batch_id: str | None = None, *, as_owner: bool = False
) -> Iterator[tuple["Session", "TaskWork"]]:
    """Open a database session for the running task, and record the task in task_metrics.

    A statement may run as long as the task may: Airflow's time-out is a signal, and Python
    handles it only after Postgres has answered.

    Args:
        portfolio: whose schema the session reads and writes.
        batch_id: the batch that task_metrics names.
        as_owner: use the connection `loan_scoring_owner` where it exists; its role may drop
            tables.

    Raises:
        AirflowFailException: another try cannot help: a broken file, a mistake in the contract,
            dropped rows. A file that is still being written raises its own error and is retried.
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
