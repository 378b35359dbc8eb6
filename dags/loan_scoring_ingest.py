"""Define the DAG `ingest`, which lands, checks and publishes a batch of applications."""

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring.contract import HISTORY, Contract
from loan_scoring_assets import applications, retrain_request
from loan_scoring_landing import LandOperator
from loan_scoring_pages import QualityPage
from loan_scoring_tasks import batch_id, task_session
from loan_scoring_wiring import BATCH_PARAMS, contracts, nightly, stage_dag


def build(contract: Contract) -> DAG:
    """Return the DAG `ingest` of a portfolio. The partition key of a run is the batch_id."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "ingest",
        __file__,
        schedule=nightly(contract, contract.schedules.ingest),
        params=BATCH_PARAMS,
        doc_md=f"Takes in a batch of **{contract.title}** from the landing folder: a night by its "
        "partition key, the labelled past by the param `batch_id: history`. The same file again "
        "changes nothing.",
    ) as dag:

        @task
        def check(revision: int) -> int:
            """Check the landed revision, and return the number of the revision.

            The revision is refused if the share of quarantined rows is too high or if a critical
            expectation fails. The rows of a refused revision are deleted, and the task fails.
            """
            from loan_scoring.ingest.batches import check_batch

            with task_session(portfolio, batch_id()) as (session, _):
                check_batch(session, batch_id(), revision)
            return revision

        @task
        def publish(revision: int) -> None:
            """Publish the checked revision and make it the current revision of the batch.

            If a newer revision is current already, the newer revision stays current.
            """
            from loan_scoring.ingest.batches import publish_batch
            from loan_scoring.ingest.landing import find_applications_file

            with task_session(portfolio, batch_id()) as (session, _):
                # Only `history` is read again, because its file holds outcomes too.
                is_history = batch_id() == HISTORY
                source = find_applications_file(session, HISTORY) if is_history else ""
                by = f"airflow:{dag.dag_id}"
                publish_batch(session, batch_id(), revision, source, by)

        @task(outlets=[applications(portfolio)])
        def announce(outlet_events=None) -> None:
            """Start the DAG `score` for this batch by updating the asset `applications`.

            The task is skipped for the batch `history`, because the loans of the
            history already have outcomes and need no scores.
            """
            if batch_id() == HISTORY:
                raise AirflowSkipException("the history trains models and is not scored")
            outlet_events[applications(portfolio)].add_partitions(batch_id())

        @task(outlets=[retrain_request(portfolio)])
        def ask_for_model() -> None:
            """Request new models if the champion was not fitted on the published `history`.

            The request starts the DAG `train`. The task is skipped for every other batch, and if
            the champion was fitted on the current revision of `history`.
            """
            from loan_scoring.monitoring import retrain_requests

            with task_session(portfolio, batch_id()) as (session, _):
                is_asked = retrain_requests.ask_for_model(session, batch_id())
            if not is_asked:
                raise AirflowSkipException("the champion was fitted on this history")

        checked = check(LandOperator(task_id="land", portfolio=portfolio).output)
        checked.operator.operator_extra_links = (QualityPage(),)
        publish(checked) >> [announce(), ask_for_model()]
    return dag


for each in contracts():
    globals()[f"{each.portfolio}_ingest"] = build(each)
