"""Provide running tasks with the batch_id of their run and with a measured database session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

from loan_scoring.contract import judge_batch_id
from loan_scoring.errors import (
    BatchError,
    ContractError,
    FailedRunError,
    GoneError,
    PassingSourceError,
    SourceError,
)

if TYPE_CHECKING:
    from loan_scoring.database.session import Session
    from loan_scoring.database.task_metrics import TaskWork


def batch_id() -> str:
    """Return the batch_id of the running task.

    The batch_id is the partition key of the run or, without a partition key, the param `batch_id`.

    Raises:
        AirflowFailException: the run has neither a partition key nor the param.
    """
    found = batch_of(get_current_context())
    if not found:
        raise AirflowFailException(
            "this run names no batch: trigger it with a partition key or the param batch_id"
        )
    return found


def batch_of(context: Any) -> str | None:
    """Return the batch_id that a task's context contains.

    Return None if the run has neither a partition key nor the param `batch_id`.
    """
    return context["dag_run"].partition_key or context["params"].get("batch_id")


def connection_url(name: str) -> str | None:
    """Return the URL of an Airflow connection. Return None if the connection does not exist."""
    try:
        return Connection.get(name).get_uri()
    except AirflowNotFoundException:
        return None


@contextmanager
def task_session(
    portfolio: str,
    batch_id: str | None = None,
    *,
    as_owner: bool = False,
    is_judged: bool = True,
) -> Iterator[tuple["Session", "TaskWork"]]:
    """Open a database session for the running task, and record the task in table `task_metrics`.

    The session's `statement_timeout` is the execution timeout of the task. Airflow's own timeout
    cannot stop a statement, because Python handles the signal of this timeout only after Postgres
    has responded.

    Args:
        portfolio: name of the portfolio whose schema the session reads and writes.
        batch_id: batch_id to record in table `task_metrics`.
        as_owner: whether to use the connection `loan_scoring_owner` if this connection exists.
            The role of this connection may drop tables.
        is_judged: whether to refuse a batch_id that is no business date, or a date to come.

    Raises:
        AirflowFailException: a retry cannot help, because a file, the contract or the batch_id is
            invalid, rows have been dropped, or a federated run has failed. Airflow does not retry.
        PassingSourceError: a retry may help, for example because the file has not landed yet.
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
            if batch_id is not None and is_judged:
                judge_batch_id(session.contract, batch_id)
            yield session, work
    except PassingSourceError:
        raise
    except (BatchError, ContractError, FailedRunError, GoneError, SourceError) as error:
        raise AirflowFailException(str(error)) from error
