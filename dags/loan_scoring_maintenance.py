"""Define the DAG `maintenance`, which drops months of rows that are past their retention."""

from datetime import date

from airflow.sdk import DAG, Param, task

from loan_scoring.contract import Contract, RetentionPolicy
from loan_scoring_tasks import task_session
from loan_scoring_wiring import by_cron, contracts, stage_dag


def build(contract: Contract, policy: RetentionPolicy) -> DAG:
    """Return the DAG `maintenance` of a portfolio whose contract has a retention policy."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "maintenance",
        __file__,
        schedule=by_cron(contract, contract.schedules.maintenance),
        max_active_runs=1,
        params={
            "today": Param(
                None,
                type=["null", "string"],
                format="date",
                description="The date, where the clock is right and the newest batch is months old",
            )
        },
        doc_md=f"Drops months of applications, scores and calls of **{contract.title}** whose last "
        f"day is more than {policy.keep_days} days ago, by the connection `loan_scoring_owner` "
        "where it exists. `dropped_partitions` and the audit log record what was dropped; "
        "`loan-scoring retention --dry-run` lists what would be.",
    ) as dag:

        @task
        def drop(params=None) -> list[str]:
            """Drop the expired partitions. Return the names of the dropped partitions.

            Partitions that an open alert still needs for training are kept. The baseline samples of
            models that are not used any more expire too.
            """
            from loan_scoring.database.expired_files import expire_baselines
            from loan_scoring.database.retention import drop_expired

            with task_session(portfolio, as_owner=True) as (session, work):
                today = date.fromisoformat(params["today"]) if params["today"] else None
                found = drop_expired(
                    session, policy.keep_days, f"airflow:{dag.dag_id}", today,
                    export_to=policy.export_to,
                )  # fmt: skip
                expire_baselines(session, policy.keep_days, f"airflow:{dag.dag_id}")
                dropped = [each for each in found if each.kept_for is None]
                work.rows = sum(each.rows for each in dropped)
            return [each.partition for each in dropped]

        @task
        def remove_files() -> int:
            """Delete files with rows that retention has dropped, and samples that expired.

            Return the number of deleted files.
            """
            from loan_scoring.database.expired_files import remove_expired_files

            with task_session(portfolio) as (session, _):
                return len(remove_expired_files(session, policy.keep_days))

        drop() >> remove_files()
    return dag


for each in contracts():
    if each.retention is not None:
        globals()[f"{each.portfolio}_maintenance"] = build(each, each.retention)
