"""Ingest: take in the night's applications, judge them, publish them all at once."""

from airflow.sdk import DAG, CronPartitionTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring import contract
from loan_scoring.contract import Contract
from loan_scoring_assets import applications, retrain_request
from loan_scoring_notify import notify_at_the_end
from loan_scoring_wiring import (
    BATCH_PARAMS,
    DEFAULT_ARGS,
    NOT_IN_ARREARS,
    QualityPage,
    batch_id,
    task_session,
)


def build(of: Contract) -> DAG:
    """Return the ingest DAG of a portfolio; its partition key is the batch_id."""
    portfolio = of.portfolio
    with DAG(
        dag_id=f"{portfolio}_ingest",
        schedule=CronPartitionTimetable(
            of.schedules.ingest,
            timezone=of.schedules.timezone,
            run_offset=-1,
            key_format="%Y-%m-%d",
            run_immediately=NOT_IN_ARREARS,
        ),
        catchup=False,
        default_args={**DEFAULT_ARGS, "owner": of.owner},
        tags=["loan-scoring", portfolio, "ingest"],
        params=BATCH_PARAMS,
        doc_md=f"Takes in a batch of **{of.title}** from the landing folder: a night by partition "
        "key, the labelled past by the param `batch_id: history`. The same file again changes "
        "nothing.",
    ) as dag:

        @task
        def land() -> int:
            """Copy the landed file's rows into an unpublished revision."""
            from loan_scoring.ingest.batches import land_batch
            from loan_scoring.ingest.landing import landed_file

            with task_session(portfolio, batch_id()) as (session, work):
                source = landed_file(session, batch_id())
                landed = land_batch(session, batch_id(), source)
                work.rows = landed.received
            return landed.revision

        @task
        def check(revision: int) -> int:
            """Judge the batch as a whole; a refused one leaves no row."""
            from loan_scoring.ingest.batches import check_batch

            with task_session(portfolio, batch_id()) as (session, _):
                check_batch(session, batch_id(), revision)
            return revision

        @task
        def publish(revision: int) -> None:
            """Make the revision the current one."""
            from loan_scoring.ingest.batches import publish_batch
            from loan_scoring.ingest.landing import landed_file

            with task_session(portfolio, batch_id()) as (session, _):
                source = landed_file(session, batch_id())
                publish_batch(session, batch_id(), revision, source)

        @task(outlets=[applications(portfolio)])
        def announce(outlet_events=None) -> None:
            """Tell scoring that a night's batch is there; its key is the batch_id."""
            if batch_id() == "history":
                raise AirflowSkipException("the history trains models and is not scored")
            outlet_events[applications(portfolio)].add_partitions(batch_id())

        @task(outlets=[retrain_request(portfolio)])
        def ask_for_model() -> None:
            """Ask for training when a history is in that the champion was not fitted on."""
            from loan_scoring.monitoring import retrain_requests

            with task_session(portfolio, batch_id()) as (session, _):
                is_asked = retrain_requests.ask_for_model(session, batch_id())
            if not is_asked:
                raise AirflowSkipException("the champion knows the history")

        checked = check(land())
        checked.operator.operator_extra_links = (QualityPage(),)
        publish(checked) >> [announce(), ask_for_model()]
        notify_at_the_end(of, dag)
    return dag


for name in contract.names():
    globals()[f"{name}_ingest"] = build(contract.load(name))
