"""Add the tasks that request new models if drift lasts, and then start a training."""

from typing import Any

from airflow.sdk import BaseOperator, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring_assets import retrain_request
from loan_scoring_tasks import batch_id, task_session


def retrain_where_drift_lasts(portfolio: str, cause: str, *, of_run: bool = False) -> Any:
    """Add a task that requests new models if drift lasts, followed by a task that starts training.

    Return the task that requests new models.

    Args:
        portfolio: name of the portfolio.
        cause: kind of drift. `population` means that the applicants differ from those at training.
            `concept` means that the outcomes differ from those at training.
        of_run: whether to judge the batch of the run. If False, judge the latest measured batch.
    """

    @task(outlets=[retrain_request(portfolio)])
    def ask_for_model() -> str:
        """Request new models if drift lasts. Return the batch_id of the batch that shows the drift.

        The task is skipped if no new models are requested.
        """
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
    """Return the task that starts one training run for each request.

    The id of the training run contains the cause and the batch of the request. If a training run
    with this id exists already, the task is skipped. So a rerun of the task, or a later run that
    makes the same request, starts no second training.

    Updating the asset `retrain_request` is not enough to start the training. The asset event has
    the partition key of the run that updated the asset. For such an event Airflow does not start
    the DAG `train`, because `train` has no partition keys.
    """
    # The import is in this function because it takes 0.7 s, and most DAGs do not need the class.
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

    return TriggerDagRunOperator(
        task_id="start_training",
        trigger_dag_id=f"{portfolio}_train",
        trigger_run_id=f"asked_by_{cause}_of_{{{{ ti.xcom_pull('ask_for_model') }}}}",
        logical_date=None,
        skip_when_already_exists=True,
    )
