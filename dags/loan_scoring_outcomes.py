"""Outcomes: take in what became of loans, which follows their applications by nights."""

from airflow.sdk import DAG, CronPartitionTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring import contract
from loan_scoring.contract import Contract
from loan_scoring_assets import retrain_request, start_training
from loan_scoring_notify import notify_at_the_end
from loan_scoring_wiring import BATCH_PARAMS, DEFAULT_ARGS, NOT_IN_ARREARS, batch_id, task_session


def build(of: Contract) -> DAG:
    """Return the outcomes DAG of a portfolio; its partition key is the date of the file."""
    portfolio = of.portfolio
    with DAG(
        dag_id=f"{portfolio}_outcomes",
        schedule=CronPartitionTimetable(
            of.schedules.outcomes,
            timezone=of.schedules.timezone,
            run_offset=-1,
            key_format="%Y-%m-%d",
            run_immediately=NOT_IN_ARREARS,
        ),
        catchup=False,
        default_args={**DEFAULT_ARGS, "owner": of.owner},
        params=BATCH_PARAMS,
        tags=["loan-scoring", portfolio, "outcomes"],
        doc_md=f"Takes in the outcomes of **{of.title}** that landed for a date. A day without "
        "a file is skipped: outcomes come when they come. `performance` then says what they show "
        "of the batches that were scored.",
    ) as dag:

        @task
        def take() -> int:
            """Take in the date's file, or skip where none landed; return its accepted rows."""
            from loan_scoring.ingest.landing import landing_file, landing_files
            from loan_scoring.ingest.outcomes import take_outcomes

            if not landing_files(portfolio, "outcomes", batch_id()):
                raise AirflowSkipException(f"no outcomes landed for {batch_id()}")
            with task_session(portfolio) as (session, work):
                source = landing_file(portfolio, "outcomes", batch_id())
                taken = take_outcomes(session, source)
                work.rows = taken.received
            return taken.accepted

        # Where no file landed too: a run that was killed after it took one left this undone.
        @task(trigger_rule="none_failed")
        def restate() -> list[str]:
            """Measure anew the scored batches whose outcomes came; return their scoring runs."""
            from loan_scoring.monitoring.performance.measure import restate_performance

            with task_session(portfolio) as (session, _):
                return restate_performance(session)

        @task(outlets=[retrain_request(portfolio)])
        def ask_for_model() -> str:
            """Ask for training where the outcomes of late show other defaults; return for which."""
            from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

            with task_session(portfolio) as (session, _):
                asked_for = ask_where_drift_lasts(session, "concept")
            if asked_for is None:
                raise AirflowSkipException("no reason for new models; see retrain_requests")
            return asked_for

        take() >> restate() >> ask_for_model() >> start_training(portfolio, "concept")
        notify_at_the_end(of, dag)
    return dag


for name in contract.names():
    globals()[f"{name}_outcomes"] = build(contract.load(name))
