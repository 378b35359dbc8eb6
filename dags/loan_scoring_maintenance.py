"""Maintenance: once a week, months that are older than the contract keeps them are dropped."""

from airflow.sdk import DAG, CronTriggerTimetable, task

from loan_scoring import contract
from loan_scoring.contract import Contract, RetentionPolicy
from loan_scoring_notify import notify_at_the_end
from loan_scoring_wiring import DEFAULT_ARGS, NOT_IN_ARREARS, task_session


def build(of: Contract, policy: RetentionPolicy) -> DAG:
    """Return the maintenance DAG of a portfolio whose contract says how long rows are kept."""
    portfolio = of.portfolio
    with DAG(
        dag_id=f"{portfolio}_maintenance",
        schedule=CronTriggerTimetable(
            of.schedules.maintenance,
            timezone=of.schedules.timezone,
            run_immediately=NOT_IN_ARREARS,
        ),
        catchup=False,
        max_active_runs=1,
        default_args={**DEFAULT_ARGS, "owner": of.owner},
        tags=["loan-scoring", portfolio, "maintenance"],
        doc_md=f"Drops months of applications, scores and calls of **{of.title}** whose last day "
        f"is more than {policy.keep_days} days ago, by the connection `loan_scoring_owner` where "
        "there is one. `dropped_partitions` and the audit log say what went; see "
        "`loan-scoring retention --dry-run` for what would.",
    ) as dag:

        @task
        def drop() -> list[str]:
            """Drop what is old enough; return the partitions."""
            from loan_scoring.database.retention import drop_expired

            with task_session(portfolio, as_owner=True) as (session, work):
                found = drop_expired(session, policy.keep_days, f"airflow:{dag.dag_id}")
                dropped = [each for each in found if each.kept_for is None]
                work.rows = sum(each.rows for each in dropped)
            return [each.partition for each in dropped]

        @task
        def remove_files() -> int:
            """Remove landing files and pages of the nights that are gone; return how many."""
            from loan_scoring.database.retention import remove_expired_files

            with task_session(portfolio) as (session, _):
                return len(remove_expired_files(session))

        drop() >> remove_files()
        notify_at_the_end(of, dag)
    return dag


for name in contract.names():
    if (loaded := contract.load(name)).retention is not None:
        globals()[f"{name}_maintenance"] = build(loaded, loaded.retention)
