"""Metrics: compare a scored batch with the baseline of its model, and raise alerts."""

from airflow.sdk import DAG, PartitionedAssetTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from loan_scoring import contract
from loan_scoring.contract import Contract
from loan_scoring_assets import retrain_request, scores, start_training
from loan_scoring_notify import notify_at_the_end
from loan_scoring_wiring import BATCH_PARAMS, DEFAULT_ARGS, batch_id, task_session


def build(of: Contract) -> DAG:
    """Return the metrics DAG of a portfolio: one run for each batch whose scores are published."""
    portfolio = of.portfolio
    with DAG(
        dag_id=f"{portfolio}_metrics",
        schedule=PartitionedAssetTimetable(assets=scores(portfolio)),
        catchup=False,
        default_args={**DEFAULT_ARGS, "owner": of.owner},
        params=BATCH_PARAMS,
        tags=["loan-scoring", portfolio, "metrics"],
        doc_md=f"Holds a scored batch of **{of.title}** against what its model saw at training. "
        "Alerts stand in `open_alerts`, every test in `drift`, requests in `retrain_requests`.",
    ) as dag:

        @task
        def measure() -> dict[str, int]:
            """Write drift tests and alerts of the batch; return how many of each."""
            from loan_scoring.monitoring.metrics import compare_batch

            with task_session(portfolio, batch_id()) as (session, work):
                counts = compare_batch(session, batch_id())
                work.rows = counts["applications"]
            return counts

        @task(outlets=[retrain_request(portfolio)])
        def ask_for_model() -> str:
            """Ask for training where batches of late show other applicants; return for which."""
            from loan_scoring.monitoring.retrain_requests import ask_where_drift_lasts

            with task_session(portfolio, batch_id()) as (session, _):
                asked_for = ask_where_drift_lasts(session, "population", batch_id())
            if asked_for is None:
                raise AirflowSkipException("no reason for new models; see retrain_requests")
            return asked_for

        measure() >> ask_for_model() >> start_training(portfolio, "population")
        notify_at_the_end(of, dag)
    return dag


for name in contract.names():
    globals()[f"{name}_metrics"] = build(contract.load(name))
