"""Add the task `notify`, which records the result of a DAG run and sends alerts."""

from typing import Any

from airflow.sdk import DAG, get_current_context, task, teardown

from loan_scoring.contract import Contract
from loan_scoring.errors import DatabaseError
from loan_scoring_channels import send
from loan_scoring_pages import run_address
from loan_scoring_tasks import batch_of, task_session


def notify_at_the_end(contract: Contract, dag: DAG) -> None:
    """Add the task `notify` after all other tasks of a DAG.

    The task is an Airflow teardown. So `notify` runs whether the other tasks succeeded or failed,
    and a failure of `notify` does not change the state of the run.
    """
    stage = dag.dag_id.removeprefix(f"{contract.portfolio}_")

    @teardown
    @task
    def notify() -> None:
        """Open or resolve the alert on the stage, and send the undelivered alerts to every channel.

        If the database still cannot be reached at the last try of this task, send every channel a
        message about the database instead.
        """
        from loan_scoring.monitoring.alerts.delivery import deliver_alerts, deliver_database_loss
        from loan_scoring.monitoring.alerts.failures import record_stage_result
        from loan_scoring.monitoring.alerts.landing import reconcile_landing

        context: Any = get_current_context()
        instance, run = context["ti"], context["dag_run"]
        states = instance.get_task_states(run.dag_id, run_ids=[run.run_id])[run.run_id]
        failed = sorted({task_name(key, dag) for key, state in states.items() if state == "failed"})
        batch, day = batch_of(context), run.run_after.date().isoformat()
        try:
            with task_session(contract.portfolio, batch, is_judged=False) as (session, work):
                record_stage_result(session, stage, batch, day, run.run_id, failed)
                if stage == "ingest" and run.run_type == "scheduled":
                    reconcile_landing(session)
                work.rows = deliver_alerts(session, send, batch or day, run_address(run))
        except DatabaseError as error:
            if instance.try_number > instance.max_tries:
                deliver_database_loss(contract, send, stage, run.run_id, str(error))
            raise

    last = dag.leaves
    last >> notify()


def task_name(key: str, dag: DAG) -> str:
    """Return the task id that a key of Airflow's task states contains.

    The key of a mapped task is TASK_ID_INDEX. The key of any other task is TASK_ID.
    """
    return key if key in dag.task_dict else key.rpartition("_")[0]
