"""Retraining: the two tasks that request new models where drift lasts, then start training."""

from typing import Any

from airflow.sdk import BaseOperator, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring_assets import retrain_request
from loan_scoring_tasks import batch_id, task_session


def retrain_where_drift_lasts(portfolio: str, cause: str, *, of_run: bool = False) -> Any:
    """Return the task that requests new models, with the task that starts training after it.

    Args:
        portfolio: the portfolio's name.
        cause: `population` (other applicants) or `concept` (other outcomes).
        of_run: judge the batch of the run. Otherwise judge the latest measured batch.
    """

    @task(outlets=[retrain_request(portfolio)])
    def ask_for_model() -> str:
        """Request new models where drift lasts; return the batch that shows it."""
        from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

        batch = batch_id() if of_run else None
        with task_session(portfolio, batch) as (session, _):
            asked_for = ask_where_drift_lasts(session, cause, batch)
        if asked_for is None:
            raise AirflowSkipException("no reason for new models; see table retrain_requests")
        return asked_for

    asked = ask_for_model()
    asked >> start_training(portfolio, cause)
    return asked


def start_training(portfolio: str, cause: str) -> BaseOperator:
    """Return the task that starts training once for a request.

    The training run's id holds the cause and the batch of the request. A rerun, or a later night
    with the same request, finds that run and skips.

    The asset alone is not enough: its event carries the partition key of the run that made it, and
    Airflow starts no DAG without keys for such an event.
    """
    # This import takes 0.7 s, which ingest and score need not spend.
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

    return TriggerDagRunOperator(
        task_id="start_training",
        trigger_dag_id=f"{portfolio}_train",
        trigger_run_id=f"asked_by_{cause}_of_{{{{ ti.xcom_pull('ask_for_model') }}}}",
        logical_date=None,
        skip_when_already_exists=True,
    )
