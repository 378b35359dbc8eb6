"""Create the DAGs of all stages with the same default values, params and kinds of schedule."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param

from loan_scoring import contract as contract_files
from loan_scoring.contract import Contract
from loan_scoring_clock import ClockTimetable
from loan_scoring_nightly import NightlyTimetable
from loan_scoring_notify import notify_at_the_end

DEFAULT_ARGS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # A stage processes 1.5 million loans in a minute, so only a task that hangs takes longer.
    "execution_timeout": timedelta(hours=1),
}

# With this value a new DAG waits for its next scheduled time. By default Airflow also starts a run
# for a scheduled time that has just passed. That run would fail because its night has no file.
NO_PAST_RUN = timedelta(0)

# This param exists for two reasons. A run for the batch `history` needs the param, because the
# partition key of a nightly schedule can only be a date. A run by dag.test() needs the param,
# because dag.test() accepts no partition key.
BATCH_PARAMS = {
    "batch_id": Param(
        None,
        type=["null", "string"],
        # In Python `$` also matches before a line end.
        pattern=r"^(history|[0-9]{4}-[0-9]{2}-[0-9]{2})$(?!\n)",
        description="The batch of a run without partition key: a business date, or history",
    )
}


def contracts() -> list[Contract]:
    """Return the valid contracts of all portfolios.

    A broken contract is left out, because an error here would remove the DAGs of all portfolios.
    The file loan_scoring_broken_contracts.py reports broken contracts.
    """
    return contract_files.load_all()[0]


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
    """Create the DAG of a stage, yield the DAG to the block, then add the last task `notify`.

    Args:
        contract: the portfolio's contract.
        stage: name of the stage, such as `score`.
        file: `__file__` of the DAG file. Without this argument Airflow would record this module
            as the file that defines the DAG.
        schedule: schedule of the DAG.
        default_args: task arguments that override DEFAULT_ARGS.
        arguments: further arguments of the class DAG, such as doc_md and params.
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


def nightly(contract: Contract, cron: str) -> NightlyTimetable:
    """Return a schedule with one run for each business date, which is the partition key.

    A date is taken by the first scheduled time on a later day. For example, the nightly run of
    2 May 2026 has the partition key 2026-05-01.
    """
    return NightlyTimetable(
        cron,
        timezone=contract.schedules.timezone,
        max_days_ahead=contract.ingest.max_days_ahead,
    )


def by_clock(contract: Contract, cron: str) -> ClockTimetable:
    """Return a cron schedule whose missed times are not made up on a machine of one's own."""
    return ClockTimetable(cron, timezone=contract.schedules.timezone, run_immediately=NO_PAST_RUN)


def by_cron(contract: Contract, cron: str) -> CronTriggerTimetable:
    """Return a cron schedule whose runs have no partition key."""
    return CronTriggerTimetable(
        cron, timezone=contract.schedules.timezone, run_immediately=NO_PAST_RUN
    )
