"""Define the DAG `metrics`, which compares a scored batch with the baseline and raises alerts."""

from airflow.sdk import DAG, PartitionedAssetTimetable, task

from loan_scoring.contract import Contract
from loan_scoring_assets import scores
from loan_scoring_retraining import retrain_where_drift_lasts
from loan_scoring_tasks import batch_id, task_session
from loan_scoring_wiring import BATCH_PARAMS, contracts, stage_dag


def build(contract: Contract) -> DAG:
    """Return the DAG `metrics` of a portfolio. Every publication of scores starts a run."""
    portfolio = contract.portfolio
    with stage_dag(
        contract,
        "metrics",
        __file__,
        schedule=PartitionedAssetTimetable(assets=scores(portfolio)),
        params=BATCH_PARAMS,
        doc_md=f"Compares a scored batch of **{contract.title}** with its model's baseline. "
        "Alerts are in `open_alerts`, every test in `drift`, requests in `retrain_requests`.",
    ) as dag:

        @task
        def measure() -> dict[str, int]:
            """Write the drift tests, distributions, performance and alerts of the batch.

            Return the number of applications, the number of drift tests and the number of alert
            causes.
            """
            from loan_scoring.monitoring.metrics import compare_batch

            with task_session(portfolio, batch_id()) as (session, work):
                counts = compare_batch(session, batch_id())
                work.rows = counts["applications"]
            return counts

        measure() >> retrain_where_drift_lasts(portfolio, "population", of_run=True)
    return dag


for each in contracts():
    globals()[f"{each.portfolio}_metrics"] = build(each)
