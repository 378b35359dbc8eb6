"""Count the failed tries of a portfolio's tasks in Airflow, also of tasks that were killed."""

from datetime import UTC, datetime, timedelta

from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.utils.session import create_session
from sqlalchemy import func, select

from loan_scoring_web.routes.stages import STAGES

DAYS = 30


def count_failed_tries(portfolio: str) -> int:
    """Return how many tries of the portfolio's tasks failed in the last DAYS days.

    A killed try leaves no row in table `task_metrics`, but Airflow keeps every try: the last one of
    a task in `task_instance`, those before it in `task_instance_history`.
    """
    since = datetime.now(UTC) - timedelta(days=DAYS)
    dags = [f"{portfolio}_{stage}" for stage in STAGES]
    with create_session() as session:
        return sum(
            session.scalar(
                select(func.count())
                .select_from(table)
                .where(
                    table.dag_id.in_(dags),
                    table.start_date >= since,
                    table.state.in_(("failed", "up_for_retry")),
                )
            )
            or 0
            for table in (TaskInstance, TaskInstanceHistory)
        )
