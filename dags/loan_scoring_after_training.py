"""Add the tasks that follow the verdict on a trained pair."""

from typing import Any

from airflow.sdk import task

from loan_scoring.contract import Contract
from loan_scoring_hold import triggered_by
from loan_scoring_tasks import task_session


def last_steps(contract: Contract, fitted: Any, decided: Any) -> None:
    """Add the task `mirror`, and before it `fit_runner_up` if the contract asks for it.

    Args:
        contract: the portfolio's contract.
        fitted: the task `fit`, whose result are the versions by kind.
        decided: the last task of the verdict.
    """

    @task(trigger_rule="none_failed")
    def fit_runner_up(versions: dict[str, str]) -> None:
        """Fit the runner-up of the first champion, and put it into shadow beside it."""
        from loan_scoring.models.training.runner_up import shadow_runner_up

        with task_session(contract.portfolio) as (session, _):
            shadow_runner_up(session, versions, triggered_by())

    @task(trigger_rule="none_failed")
    def mirror() -> None:
        """Copy trials, models and champions to MLflow, also if nobody was asked."""
        from loan_scoring.models.mlflow_mirror import mirror_models

        with task_session(contract.portfolio) as (session, work):
            mirrored = mirror_models(session)
            work.rows = mirrored.trials + mirrored.models

    if contract.promotion.shadow_runner_up:
        runner_up = fit_runner_up(fitted)
        decided >> runner_up
        decided = runner_up
    decided >> mirror()
