"""Notify: the last task of every DAG tells people what is new of alerts, and of its own run."""

from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import DAG, get_current_context, task, teardown

from loan_scoring.contract import Contract
from loan_scoring.errors import DatabaseError
from loan_scoring_channels import send
from loan_scoring_wiring import batch_of, task_session


def notify_at_the_end(of: Contract, dag: DAG) -> None:
    """Put the task after all others that keeps alerts on failures, and tells people what is new.

    A teardown: it runs however the others ended, and the run's state stays theirs.
    """
    stage = dag.dag_id.removeprefix(f"{of.portfolio}_")

    @teardown
    @task
    def notify() -> None:
        """Keep the alert on a failed stage, and tell every channel what is new to it."""
        from loan_scoring.monitoring.alerts.delivery import deliver_alerts, deliver_database_loss
        from loan_scoring.monitoring.alerts.failures import record_stage_result

        context: Any = get_current_context()
        instance, run = context["ti"], context["dag_run"]
        states = instance.get_task_states(run.dag_id, run_ids=[run.run_id])[run.run_id]
        failed = sorted({task_of(key, dag) for key, state in states.items() if state == "failed"})
        batch, day = batch_of(context), run.run_after.date().isoformat()
        try:
            with task_session(of.portfolio, batch) as (session, work):
                record_stage_result(session, stage, batch, day, run.run_id, failed)
                work.rows = deliver_alerts(session, send, batch or day, page_of(run))
        except DatabaseError as error:
            if instance.try_number > instance.max_tries:
                deliver_database_loss(of, send, stage, run.run_id, str(error))
            raise

    last = dag.leaves
    last >> notify()


def task_of(key: str, dag: DAG) -> str:
    """Return the task of one of Airflow's keys of states; a mapped one's ends in its number."""
    return key if key in dag.task_dict else key.rpartition("_")[0]


def page_of(run: Any) -> str | None:
    """Return the address of a run's page in Airflow's UI, where Airflow knows its own."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{run.dag_id}/runs/{quote(run.run_id)}" if base else None
