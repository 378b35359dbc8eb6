"""Define the DAG `loan_scoring_contracts`, which opens and resolves alerts on broken contracts."""

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, task

from loan_scoring_channels import send
from loan_scoring_tasks import connection_url
from loan_scoring_wiring import DEFAULT_ARGS, NO_PAST_RUN

EVERY_FIVE_MINUTES = "*/5 * * * *"

with DAG(
    dag_id="loan_scoring_contracts",
    schedule=CronTriggerTimetable(EVERY_FIVE_MINUTES, timezone="UTC", run_immediately=NO_PAST_RUN),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={**DEFAULT_ARGS, "owner": "loan-scoring"},
    tags=["loan-scoring"],
    doc_md="Reads the contracts of all portfolios. A contract that cannot be used opens one alert, "
    "which is resolved once the contract can be used again. The portfolio of a broken contract has "
    "no DAGs meanwhile; all other portfolios go on.",
) as dag:

    @task(execution_timeout=timedelta(minutes=5))
    def check_contracts() -> list[str]:
        """Open, update and resolve the alerts. Return the names of the broken contracts."""
        from loan_scoring.local.postgres import portfolio_database_url
        from loan_scoring.monitoring.alerts.contracts import reconcile_contracts

        return reconcile_contracts(portfolio_database_url(connection_url("loan_scoring")), send)

    check_contracts()
