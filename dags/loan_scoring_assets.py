"""Every asset, in the order of the data; the partition key of each event is the batch_id."""

from airflow.sdk import Asset, BaseOperator


def applications(portfolio: str) -> Asset:
    """Return the asset of published batches: ingest makes it, scoring waits for it."""
    return Asset(name=f"{portfolio}_applications", uri=f"loan-scoring://{portfolio}/applications")


def scores(portfolio: str) -> Asset:
    """Return the asset of published scores: scoring makes it, metrics waits for it."""
    return Asset(name=f"{portfolio}_scores", uri=f"loan-scoring://{portfolio}/scores")


def retrain_request(portfolio: str) -> Asset:
    """Return the asset that asks for new models: training waits for it."""
    return Asset(
        name=f"{portfolio}_retrain_request", uri=f"loan-scoring://{portfolio}/retrain_request"
    )


def start_training(portfolio: str, cause: str) -> BaseOperator:
    """Return the task that starts training after `ask_for_model`, once for a request.

    Its run is named by the request's cause and batch: a rerun, and a later night that finds the
    same request, find the run there and skip.

    The event of an asset carries the key of the run that makes it, and Airflow starts no DAG
    without keys for such an event: a run that has a key must trigger training itself.
    """
    # 0.7 s, which ingest and score are spared.
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

    return TriggerDagRunOperator(
        task_id="start_training",
        trigger_dag_id=f"{portfolio}_train",
        trigger_run_id=f"asked_by_{cause}_of_{{{{ ti.xcom_pull('ask_for_model') }}}}",
        logical_date=None,
        skip_when_already_exists=True,
    )
