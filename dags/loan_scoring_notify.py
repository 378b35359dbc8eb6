"""Add the last task of every DAG, which raises an alert if the run failed and sends new alerts."""

from typing import Any

from airflow.sdk import DAG, get_current_context, task, teardown

from loan_scoring.contract import Contract
from loan_scoring.errors import DatabaseError
from loan_scoring_channels import send
from loan_scoring_pages import run_address
from loan_scoring_tasks import batch_of, task_session


def notify_at_the_end(contract: Contract, dag: DAG) -> None:
    """Add the task `notify` after all other tasks of a DAG.

    The task is an Airflow teardown. Therefore the task runs whether the other tasks succeeded or
    failed, and its own result does not change the state of the run.
    """
    stage = dag.dag_id.removeprefix(f"{contract.portfolio}_")

    @teardown
    @task
    def notify() -> None:
        """Record whether the stage failed, and send every channel its undelivered alerts.

        If the database cannot be reached at the last try, tell every channel about that.
        """
        from loan_scoring.monitoring.alerts.delivery import deliver_alerts, deliver_database_loss
        from loan_scoring.monitoring.alerts.failures import record_stage_result

        context: Any = get_current_context()
        instance, run = context["ti"], context["dag_run"]
        states = instance.get_task_states(run.dag_id, run_ids=[run.run_id])[run.run_id]
        failed = sorted({task_name(key, dag) for key, state in states.items() if state == "failed"})
        batch, day = batch_of(context), run.run_after.date().isoformat()
        try:
            with task_session(contract.portfolio, batch, is_judged=False) as (session, work):
                record_stage_result(session, stage, batch, day, run.run_id, failed)
                work.rows = deliver_alerts(session, send, batch or day, run_address(run))
        except DatabaseError as error:
            if instance.try_number > instance.max_tries:
                deliver_database_loss(contract, send, stage, run.run_id, str(error))
            raise

    last = dag.leaves
    last >> notify()


def task_name(key: str, dag: DAG) -> str:
    """Return the task id for a key of Airflow's task states.

    The key is TASK_ID, or TASK_ID_INDEX if the task is mapped.
    """
    return key if key in dag.task_dict else key.rpartition("_")[0]
