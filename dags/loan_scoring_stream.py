"""Define the DAG `stream`, which closes the days of a stream and has them compared like nights."""

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from loan_scoring.contract import Contract
from loan_scoring_assets import scores
from loan_scoring_tasks import task_session
from loan_scoring_wiring import by_clock, contracts, stage_dag

# At each run the database says which days have ended and are not finished. So it does no harm if a
# run is left out, starts twice, or dies between the publication of a day and its asset event.


def build(contract: Contract, cron: str) -> DAG:
    """Return the DAG `stream` of a portfolio whose applications arrive one by one."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "stream",
        __file__,
        schedule=by_clock(contract, cron),
        max_active_runs=1,
        doc_md=f"Seals each ended day of the stream of **{contract.title}**: its counts are "
        "reconciled, Great Expectations judges it, its scores are published, and the DAG `metrics` "
        "is started. Looks at the open day too. May run at any time: a day is sealed once.",
    ) as dag:

        @task
        def watch() -> int:
            """Compare the open day with the baseline. Return the number of causes for an alert."""
            from loan_scoring.monitoring.open_day import watch_open_day

            with task_session(portfolio) as (session, work):
                seen = watch_open_day(session)
                work.rows = seen.applications
            return len(seen.causes)

        @task
        def seal() -> list[str]:
            """Seal, check and publish every ended day. Return the days to compare.

            What keeps a day back is in the log, and fails the task `held_back`.
            """
            from loan_scoring.scoring.stream.day import finish_days

            with task_session(portfolio) as (session, work):
                days, _ = finish_days(session, f"airflow:{dag.dag_id}")
                work.rows = len(days)
            return days

        @task(outlets=[scores(portfolio)])
        def announce(days: list[str], outlet_events=None) -> None:
            """Start the DAG `metrics` for each day by updating the asset `scores`.

            A day is announced until it is compared, so an event that was lost is sent again.
            """
            if not days:
                raise AirflowSkipException("no day of a stream has ended since the last run")
            outlet_events[scores(portfolio)].add_partitions(days)

        @task(trigger_rule="all_done")
        def held_back() -> None:
            """Fail, so that someone is told, if a day was held back by its check."""
            from loan_scoring.scoring.stream.day import days_to_finish

            with task_session(portfolio) as (session, _):
                left = [each for each in days_to_finish(session) if not each["is_published"]]
            if left:
                names = ", ".join(each["batch_id"] for each in left)
                raise AirflowFailException(
                    f"not published: {names}; `loan-scoring stream seal --portfolio {portfolio} "
                    "--batch DATE` says why"
                )

        announce(seal()) >> held_back()
        watch()
    return dag


for each in contracts():
    if each.schedules.stream is not None:
        globals()[f"{each.portfolio}_stream"] = build(each, each.schedules.stream)
