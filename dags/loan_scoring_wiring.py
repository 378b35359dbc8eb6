"""What every DAG file shares: the header of a stage's DAG, its schedules and its params."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, CronTriggerTimetable, Param

from loan_scoring import contract as contract_files
from loan_scoring.contract import Contract
from loan_scoring_notify import notify_at_the_end

DEFAULT_ARGS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=1),  # a stage takes 1.5 million loans in under a minute
}

# A new DAG waits for its next time. By default Airflow also runs a time that has just passed:
# a night without a file.
NO_PAST_RUN = timedelta(0)

# A nightly run's partition key can only be a date, and dag.test() takes no key.
BATCH_PARAMS = {
    "batch_id": Param(
        None,
        type=["null", "string"],
        pattern="^(history|[0-9]{4}-[0-9]{2}-[0-9]{2})$",
        description="The batch of a run without partition key: a business date, or history",
    )
}


def contracts() -> Iterator[Contract]:
    """Return the contract of every portfolio."""
    return map(contract_files.load, contract_files.names())


@contextmanager
def stage_dag(
    contract: Contract,
    stage: str,
    file: str,
    *,
    schedule: Any,
    default_args: dict[str, Any] | None = None,
    **arguments: Any,
) -> Iterator[DAG]:
    """Give the DAG of a portfolio's stage; its last task notifies people.

    Args:
        contract: the portfolio's contract.
        stage: the stage's name, such as `score`.
        file: `__file__` of the DAG file. Airflow would take this module for it.
        schedule: when the DAG runs.
        default_args: task arguments that differ from DEFAULT_ARGS.
        arguments: other arguments of the DAG: doc_md, params and so on.
    """
    with DAG(
        dag_id=f"{contract.portfolio}_{stage}",
        schedule=schedule,
        catchup=False,
        default_args={**DEFAULT_ARGS, "owner": contract.owner, **(default_args or {})},
        tags=["loan-scoring", contract.portfolio, stage],
        **arguments,
    ) as dag:
        dag.fileloc = file
        yield dag
        notify_at_the_end(contract, dag)


def nightly(contract: Contract, cron: str) -> CronPartitionTimetable:
    """Return a schedule whose partition key is the date of the night before the run."""
    return CronPartitionTimetable(
        cron,
        timezone=contract.schedules.timezone,
        run_offset=-1,
        key_format="%Y-%m-%d",
        run_immediately=NO_PAST_RUN,
    )


def by_cron(contract: Contract, cron: str) -> CronTriggerTimetable:
    """Return a schedule without partition keys."""
    return CronTriggerTimetable(
        cron, timezone=contract.schedules.timezone, run_immediately=NO_PAST_RUN
    )
